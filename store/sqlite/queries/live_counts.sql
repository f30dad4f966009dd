-- Reads what certificates_not_after has past ?1. ?2 is from when on an issue is recent.
SELECT c.profile, c.issuer, count(*) AS certificates, count(*) FILTER (WHERE c.issued_at > ?2 AND c.issued_at <= ?1) AS issued
FROM certificates AS c INDEXED BY certificates_not_after
WHERE c.not_after > ?1
  AND NOT EXISTS (SELECT 1 FROM revocations AS v WHERE v.serial = c.serial)
GROUP BY c.profile, c.issuer
ORDER BY c.profile, c.issuer
