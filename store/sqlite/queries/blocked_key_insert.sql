INSERT INTO blocked_keys (key_hash, blocked_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING
