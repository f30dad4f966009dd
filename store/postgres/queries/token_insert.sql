INSERT INTO tokens (id, hash, entry_id, created_at, created_by, expires_at)
SELECT $1::text, $2::bytea, e.id, $4::timestamptz, $5::text, $6::timestamptz
FROM entries AS e
WHERE e.id = $3 AND e.method = 'join_token'
