-- $1 is when they are to be in force; null: whenever.
SELECT id, pattern, name, side, reason, started_at, started_by, expires_at, ended_at, ended_by, end_reason
FROM mtls_overrides
WHERE $1::timestamptz IS NULL OR (ended_at IS NULL AND expires_at > $1)
ORDER BY started_at DESC, id DESC
LIMIT $2
