-- Reads what certificates_not_after has past ?1.
SELECT c.profile, c.issuer, count(*) AS certificates
FROM certificates AS c INDEXED BY certificates_not_after
WHERE c.not_after > ?1
  AND NOT EXISTS (SELECT 1 FROM revocations AS v WHERE v.serial = c.serial)
GROUP BY c.profile, c.issuer
ORDER BY c.profile, c.issuer
