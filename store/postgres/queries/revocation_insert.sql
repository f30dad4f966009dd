-- Revokes those of some certificates that are not revoked yet. $1 is their serial numbers, $2
-- the day that each of these leads with: one partition. They are numbered from the last number
-- that was given, or from $5, microseconds since 1970: after a database was restored, numbers
-- that were given in the time that it has lost are not given again.
INSERT INTO revocations (serial, issuer, not_after, revoked_at, reason, seq)
SELECT
    c.serial, c.issuer, c.not_after, $3::timestamptz, $4::integer,
    greatest(n.seq, $5::bigint) + row_number() OVER (ORDER BY c.not_after, c.serial)
FROM revocation_number AS n
CROSS JOIN unnest($1::bytea[], $2::timestamptz[]) AS i (serial, day)
CROSS JOIN LATERAL (
    SELECT c.serial, c.issuer, c.not_after FROM certificates AS c
    WHERE c.serial = i.serial AND c.not_after >= i.day AND c.not_after < i.day + interval '24 hours'
) AS c
WHERE NOT EXISTS (SELECT FROM revocations AS r WHERE r.serial = c.serial)
