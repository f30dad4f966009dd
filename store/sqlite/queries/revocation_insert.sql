-- Revokes a certificate unless it is revoked. It is numbered from the last number that was
-- given, or from ?4, microseconds since 1970: after a database was restored, numbers that were
-- given in the time that it has lost are not given again.
INSERT INTO revocations (serial, issuer, not_after, revoked_at, reason, seq)
SELECT c.serial, c.issuer, c.not_after, ?2, ?3, max(n.seq, ?4) + 1
FROM certificates AS c
CROSS JOIN revocation_number AS n
WHERE c.serial = ?1
ON CONFLICT (serial) DO NOTHING
