-- Reads certificates_spiffe_id. What ?1 selects, that expires after ?2 and is not
-- revoked, from the place (?3, ?4) on.
SELECT c.serial, c.not_after, c.spiffe_id
FROM certificates AS c INDEXED BY certificates_spiffe_id
WHERE c.spiffe_id = ?1
  AND c.not_after > ?2
  AND c.not_after >= ?3
  AND (c.not_after > ?3 OR c.serial > ?4)
  AND NOT EXISTS (SELECT 1 FROM revocations AS r WHERE r.serial = c.serial)
ORDER BY c.not_after, c.serial
LIMIT ?5
