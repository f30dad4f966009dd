-- Reads revocations_not_after from its end.
SELECT
    c.serial, c.spiffe_id, c.dns_names, c.profile, c.issuer, c.key_hash, c.key_algorithm, c.issued_at, c.not_before,
    c.not_after, c.method, c.caller, c.address, c.entry_id, c.replaces, c.request_id, c.certificate,
    r.revoked_at, r.reason
FROM revocations AS r
CROSS JOIN certificates AS c ON c.serial = r.serial
WHERE (?1 = '' OR c.spiffe_id = ?1)
  AND (?2 = '' OR r.issuer = ?2)
  AND r.not_after < ?3
  AND r.not_after <= ?4
  AND (r.not_after < ?4 OR r.serial > ?5)
ORDER BY r.not_after DESC, r.serial
LIMIT ?6
