DELETE FROM tokens WHERE used_at < ?1 OR (used_at IS NULL AND expires_at < ?1)
