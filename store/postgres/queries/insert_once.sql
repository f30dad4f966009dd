-- Certificates that consume a join token or a JWT. A credential is consumed only by a row
-- whose other conditions hold, and a row is inserted only if it consumed its credential. There
-- is no ON CONFLICT on the certificates: a serial number that exists must undo the consumption.
WITH i AS MATERIALIZED (
    SELECT
        i.serial, i.spiffe_id, i.dns_names, i.profile, i.issuer, i.key_hash, i.key_algorithm, i.issued_at, i.not_before,
        i.not_after, i.method, i.caller, i.address, i.entry_id, i.replaces, i.request_id, i.certificate,
        i.token_hash, i.replay, i.replay_expires_at
    FROM unnest(
        $1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[], $8::timestamptz[], $9::timestamptz[],
        $10::timestamptz[], $11::text[], $12::text[], $13::text[], $14::text[], $15::bytea[], $16::text[], $17::bytea[],
        $18::bytea[], $19::bytea[], $20::bytea[], $21::timestamptz[]
    ) AS i (
        serial, spiffe_id, dns_names, profile, issuer, key_hash, key_algorithm, issued_at, not_before,
        not_after, method, caller, address, entry_id, replaces, request_id, certificate,
        caller_serial, token_hash, replay, replay_expires_at
    )
    WHERE (i.caller_serial = '' OR NOT EXISTS (SELECT FROM revocations AS r WHERE r.serial = i.caller_serial))
      AND (i.key_hash = '' OR NOT EXISTS (SELECT FROM blocked_keys AS b WHERE b.key_hash = i.key_hash))
      AND (i.entry_id = '' OR EXISTS (SELECT FROM entries AS e WHERE e.id = i.entry_id))
      AND (i.issuer IN (SELECT a.id FROM authorities AS a WHERE a.state = 'active') OR NOT EXISTS (SELECT FROM generation))
), consumed AS (
    UPDATE tokens AS t
    SET used_at = $22::timestamptz, used_by = i.serial, used_key = i.key_hash
    FROM i
    WHERE i.token_hash <> ''
      AND t.hash = i.token_hash
      AND t.entry_id = i.entry_id
      AND t.used_at IS NULL
      AND t.expires_at > $22::timestamptz
    RETURNING t.used_by AS serial
), remembered AS (
    INSERT INTO replays (digest, expires_at)
    SELECT i.replay, i.replay_expires_at FROM i WHERE i.replay <> ''
    ON CONFLICT DO NOTHING
    RETURNING digest
)
INSERT INTO certificates (
    serial, spiffe_id, dns_names, profile, issuer, key_hash, key_algorithm, issued_at, not_before,
    not_after, method, caller, address, entry_id, replaces, request_id, certificate
)
SELECT
    i.serial, i.spiffe_id, i.dns_names, i.profile, i.issuer, i.key_hash, i.key_algorithm, i.issued_at, i.not_before,
    i.not_after, i.method, i.caller, i.address, i.entry_id, i.replaces, i.request_id, i.certificate
FROM i
WHERE i.serial IN (SELECT c.serial FROM consumed AS c)
   OR i.replay IN (SELECT r.digest FROM remembered AS r)
RETURNING serial
