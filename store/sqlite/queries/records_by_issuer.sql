-- Reads certificates_issuer from its end.
SELECT
    c.serial, c.spiffe_id, c.dns_names, c.profile, c.issuer, c.key_hash, c.key_algorithm, c.issued_at, c.not_before,
    c.not_after, c.method, c.caller, c.address, c.entry_id, c.replaces, c.request_id, c.certificate,
    r.revoked_at, r.reason
FROM certificates AS c INDEXED BY certificates_issuer
LEFT JOIN revocations AS r ON r.serial = c.serial
WHERE c.issuer = ?1
  AND (?2 = '' OR (?2 = 'live' AND c.not_after > ?3 AND r.serial IS NULL)
       OR (?2 = 'expired' AND c.not_after <= ?3 AND r.serial IS NULL))
  AND c.not_after < ?4
  AND c.not_after <= ?5
  AND (c.not_after < ?5 OR c.serial > ?6)
ORDER BY c.not_after DESC, c.serial
LIMIT ?7
