-- Consumes a JWT.
INSERT INTO replays (digest, expires_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING
