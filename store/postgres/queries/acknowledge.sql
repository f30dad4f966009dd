-- Acknowledgements, and a mark for each certificate that one of these has replaced. Rows are
-- locked in the order of the serial numbers, so that two replicas do not wait for each other
-- in a circle. The octets that lead a serial number are its NotAfter in seconds; $4 is the
-- beginning of that day, which leads to one partition.
WITH i AS MATERIALIZED (
    SELECT
        i.serial, i.sequence, i.not_after,
        (
            SELECT c.replaces FROM certificates AS c
            WHERE c.serial = i.serial AND c.not_after >= i.day AND c.not_after < i.day + interval '24 hours'
        ) AS replaces
    FROM unnest($1::bytea[], $2::bigint[], $3::timestamptz[], $4::timestamptz[]) AS i (serial, sequence, not_after, day)
), replaced AS (
    SELECT DISTINCT i.replaces AS serial FROM i WHERE i.replaces <> ''
)
INSERT INTO acks AS a (serial, sequence, not_after)
SELECT i.serial, i.sequence, i.not_after
FROM i
WHERE i.serial NOT IN (SELECT r.serial FROM replaced AS r)
  AND NOT EXISTS (SELECT FROM revocations AS r WHERE r.serial = i.serial)
UNION ALL
SELECT
    r.serial, NULL,
    to_timestamp((get_byte(r.serial, 0)::bigint << 24) + (get_byte(r.serial, 1) << 16) + (get_byte(r.serial, 2) << 8) + get_byte(r.serial, 3) + 1)
FROM replaced AS r
ORDER BY serial
ON CONFLICT (serial) DO UPDATE
SET sequence = excluded.sequence
WHERE a.sequence < excluded.sequence OR (a.sequence IS NOT NULL AND excluded.sequence IS NULL)
