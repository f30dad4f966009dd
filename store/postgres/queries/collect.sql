INSERT INTO collected (serial, not_after) VALUES ($1, $2) ON CONFLICT DO NOTHING
