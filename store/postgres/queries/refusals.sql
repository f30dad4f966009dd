-- Why rows were left out. Nothing that refuses a row is ever taken back while its credential
-- is valid, and an authority that was active does not become so again, so that the reason is
-- still there after the transaction that refused.
SELECT
    i.ord,
    EXISTS (SELECT FROM revocations AS r WHERE r.serial = i.caller_serial) AS caller_revoked,
    EXISTS (SELECT FROM blocked_keys AS b WHERE b.key_hash = i.key_hash) AS key_blocked,
    (i.entry_id <> '' AND NOT EXISTS (SELECT FROM entries AS e WHERE e.id = i.entry_id))
        OR coalesce(t.entry_id <> i.entry_id, false) AS entry_gone,
    t.used_at IS NOT NULL AS token_used,
    i.token_hash <> '' AND coalesce(t.expires_at <= $7::timestamptz, true) AS token_expired,
    EXISTS (SELECT FROM replays AS p WHERE p.digest = i.replay) AS replayed,
    EXISTS (SELECT FROM generation)
        AND NOT EXISTS (SELECT FROM authorities AS a WHERE a.id = i.issuer AND a.state = 'active') AS issuer_inactive,
    EXISTS (
        SELECT FROM certificates AS c
        WHERE c.serial = i.serial
          AND c.not_after >= date_trunc('day', i.not_after, 'UTC')
          AND c.not_after < date_trunc('day', i.not_after, 'UTC') + interval '24 hours'
    ) AS serial_taken
FROM unnest(
    $1::bytea[], $2::timestamptz[], $3::bytea[], $4::bytea[], $5::text[], $6::bytea[], $8::bytea[], $9::text[]
) WITH ORDINALITY AS i (serial, not_after, key_hash, caller_serial, entry_id, token_hash, replay, issuer, ord)
LEFT JOIN tokens AS t ON i.token_hash <> '' AND t.hash = i.token_hash
ORDER BY i.ord
