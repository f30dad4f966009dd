INSERT INTO mtls_overrides (id, pattern, name, side, reason, started_at, started_by, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
