SELECT
    c.serial, c.spiffe_id, c.dns_names, c.profile, c.issuer, c.key_hash, c.key_algorithm, c.issued_at, c.not_before,
    c.not_after, c.method, c.caller, c.address, c.entry_id, c.replaces, c.request_id, c.certificate,
    r.revoked_at, r.reason
FROM certificates AS c
LEFT JOIN revocations AS r ON r.serial = c.serial
WHERE c.serial = ?1
