-- Blocks the keys of some certificates; see revocation_insert.sql.
INSERT INTO blocked_keys (key_hash, blocked_at)
SELECT DISTINCT c.key_hash, $3::timestamptz
FROM unnest($1::bytea[], $2::timestamptz[]) AS i (serial, day)
CROSS JOIN LATERAL (
    SELECT c.key_hash FROM certificates AS c
    WHERE c.serial = i.serial AND c.not_after >= i.day AND c.not_after < i.day + interval '24 hours'
) AS c
ON CONFLICT DO NOTHING
