SELECT id, hash, entry_id, created_at, created_by, expires_at, used_at, used_by, used_key
FROM tokens
WHERE hash = ?1
