-- Reads certificates_not_after from its end.
SELECT
    c.serial, c.spiffe_id, c.dns_names, c.profile, c.issuer, c.key_hash, c.key_algorithm, c.issued_at, c.not_before,
    c.not_after, c.method, c.caller, c.address, c.entry_id, c.replaces, c.request_id, c.certificate,
    r.revoked_at, r.reason
FROM certificates AS c INDEXED BY certificates_not_after
LEFT JOIN revocations AS r ON r.serial = c.serial
WHERE (?1 = '' OR (?1 = 'live' AND c.not_after > ?2 AND r.serial IS NULL)
       OR (?1 = 'expired' AND c.not_after <= ?2 AND r.serial IS NULL))
  AND c.not_after < ?3
  AND c.not_after <= ?4
  AND (c.not_after < ?4 OR c.serial > ?5)
ORDER BY c.not_after DESC, c.serial
LIMIT ?6
