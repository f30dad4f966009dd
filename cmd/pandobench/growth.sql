-- Records like those of a fleet whose certificates end within the hour: random serial numbers,
-- an identity each, a certificate of usual size. $1 is the first number, $2 the last.
INSERT INTO certificates (
    serial, spiffe_id, dns_names, profile, issuer, key_hash, key_algorithm, issued_at, not_before,
    not_after, method, caller, address, entry_id, replaces, request_id, certificate
)
SELECT
    int4send(floor(extract(epoch FROM n.not_after))::int) || substring(uuid_send(gen_random_uuid()) FROM 2),
    'spiffe://bench.example.org/fill/' || n.i, '', 'workload', 'ffffffffffffffff', sha256(int8send(n.i)), 'ecdsa-p256',
    n.not_after - interval '1 hour', n.not_after - interval '1 hour', n.not_after, 'mtls',
    'spiffe://bench.example.org/fill/' || n.i, '127.0.0.1', '', '', 'fill',
    decode(repeat(md5(n.i::text), 40), 'hex')
FROM (
    SELECT i, now() + random() * interval '1 hour' AS not_after FROM generate_series($1::bigint, $2::bigint) AS i
) AS n
