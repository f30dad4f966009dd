-- Reads certificates_spiffe_id from its end.
SELECT
    c.serial, c.spiffe_id, c.dns_names, c.profile, c.issuer, c.key_hash, c.key_algorithm, c.issued_at, c.not_before,
    c.not_after, c.method, c.caller, c.address, c.entry_id, c.replaces, c.request_id, c.certificate,
    r.revoked_at, r.reason
FROM certificates AS c INDEXED BY certificates_spiffe_id
LEFT JOIN revocations AS r ON r.serial = c.serial
WHERE c.spiffe_id = ?1
  AND (?2 = '' OR c.issuer = ?2)
  AND (?3 = '' OR (?3 = 'live' AND c.not_after > ?4 AND r.serial IS NULL)
       OR (?3 = 'expired' AND c.not_after <= ?4 AND r.serial IS NULL))
  AND c.not_after < ?5
  AND c.not_after <= ?6
  AND (c.not_after < ?6 OR c.serial > ?7)
ORDER BY c.not_after DESC, c.serial
LIMIT ?8
