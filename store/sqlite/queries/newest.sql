-- The one that was issued last: one may end before its predecessor, if its profile gives less now.
SELECT
    c.serial, c.spiffe_id, c.dns_names, c.profile, c.issuer, c.key_hash, c.key_algorithm, c.issued_at, c.not_before,
    c.not_after, c.method, c.caller, c.address, c.entry_id, c.replaces, c.request_id, c.certificate,
    r.revoked_at, r.reason,
    EXISTS (SELECT 1 FROM collected AS k WHERE k.serial = c.serial) AS collected
FROM certificates AS c INDEXED BY certificates_spiffe_id
LEFT JOIN revocations AS r ON r.serial = c.serial
WHERE c.spiffe_id = ?1
  AND c.key_hash = ?2
  AND c.not_after > ?3
  AND r.serial IS NULL
ORDER BY c.issued_at DESC, c.not_after DESC, c.serial
LIMIT 1
