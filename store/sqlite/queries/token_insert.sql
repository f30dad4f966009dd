INSERT INTO tokens (id, hash, entry_id, created_at, created_by, expires_at)
SELECT ?1, ?2, e.id, ?4, ?5, ?6
FROM entries AS e
WHERE e.id = ?3 AND e.method = 'join_token'
