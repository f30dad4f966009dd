-- Certificates that consume nothing. A row whose conditions do not hold, or whose serial
-- number exists, is left out.
INSERT INTO certificates (
    serial, spiffe_id, dns_names, profile, issuer, key_hash, key_algorithm, issued_at, not_before,
    not_after, method, caller, address, entry_id, replaces, request_id, certificate
)
SELECT
    i.serial, i.spiffe_id, i.dns_names, i.profile, i.issuer, i.key_hash, i.key_algorithm, i.issued_at, i.not_before,
    i.not_after, i.method, i.caller, i.address, i.entry_id, i.replaces, i.request_id, i.certificate
FROM unnest(
    $1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[], $8::timestamptz[], $9::timestamptz[],
    $10::timestamptz[], $11::text[], $12::text[], $13::text[], $14::text[], $15::bytea[], $16::text[], $17::bytea[],
    $18::bytea[]
) AS i (
    serial, spiffe_id, dns_names, profile, issuer, key_hash, key_algorithm, issued_at, not_before,
    not_after, method, caller, address, entry_id, replaces, request_id, certificate,
    caller_serial
)
WHERE (i.caller_serial = '' OR NOT EXISTS (SELECT FROM revocations AS r WHERE r.serial = i.caller_serial))
  AND (i.key_hash = '' OR NOT EXISTS (SELECT FROM blocked_keys AS b WHERE b.key_hash = i.key_hash))
  AND (i.entry_id = '' OR EXISTS (SELECT FROM entries AS e WHERE e.id = i.entry_id))
  AND (i.issuer IN (SELECT a.id FROM authorities AS a WHERE a.state = 'active') OR NOT EXISTS (SELECT FROM generation))
ON CONFLICT DO NOTHING
RETURNING serial
