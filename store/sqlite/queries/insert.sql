-- One certificate. When a condition does not hold, or the serial number exists, no row is
-- written. ?18 is the serial number of the caller, empty for none.
INSERT INTO certificates (
    serial, spiffe_id, dns_names, profile, issuer, key_hash, key_algorithm, issued_at, not_before,
    not_after, method, caller, address, entry_id, replaces, request_id, certificate
)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17
WHERE NOT EXISTS (SELECT 1 FROM revocations AS r WHERE r.serial = ?18)
  AND NOT EXISTS (SELECT 1 FROM blocked_keys AS b WHERE b.key_hash = ?6)
  AND (?14 = '' OR EXISTS (SELECT 1 FROM entries AS e WHERE e.id = ?14))
  AND (EXISTS (SELECT 1 FROM authorities AS a WHERE a.id = ?5 AND a.state = 'active') OR NOT EXISTS (SELECT 1 FROM generation))
ON CONFLICT DO NOTHING
