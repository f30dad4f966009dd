SELECT id, pattern, name, side, reason, started_at, started_by, expires_at, ended_at, ended_by, end_reason
FROM mtls_overrides
WHERE id = $1
