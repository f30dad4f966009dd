INSERT INTO revocations (serial, issuer, not_after, revoked_at, reason)
SELECT c.serial, c.issuer, c.not_after, ?2, ?3
FROM certificates AS c
WHERE c.serial = ?1
ON CONFLICT DO NOTHING
