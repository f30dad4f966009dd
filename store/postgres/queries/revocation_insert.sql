INSERT INTO revocations (serial, issuer, not_after, revoked_at, reason)
SELECT c.serial, c.issuer, c.not_after, $4::timestamptz, $5::integer
FROM certificates AS c
WHERE c.serial = $1 AND c.not_after >= $2 AND c.not_after < $3
ON CONFLICT DO NOTHING
