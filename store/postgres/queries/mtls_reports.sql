-- Reads a range of the primary key.
SELECT spiffe_id, listener, instance, mode, source, observed_since, last_mtls, last_plaintext, reported_at, not_after
FROM mtls_reports
WHERE spiffe_id >= $1
  AND spiffe_id <= $2
  AND (spiffe_id, listener, instance) > ($3, $4, $5)
  AND not_after > $6
ORDER BY spiffe_id, listener, instance
LIMIT $7
