-- A holder depends on an issuer while its certificate lives ($2) and no other one renews it. A
-- certificate that does was issued later than the first of those that live, and so ends later:
-- earlier partitions are not read. What Pando has renewed by
-- itself does not renew before its holder has collected it.
WITH covered AS MATERIALIZED (
    SELECT c.serial, c.issuer, c.issued_at, c.not_before, c.not_after
    FROM certificates AS c
    WHERE c.issuer = ANY ($1::text[]) AND c.not_after > $2 AND c.issued_at < $3
      AND NOT EXISTS (SELECT FROM revocations AS v WHERE v.serial = c.serial)
), renewed AS MATERIALIZED (
    SELECT s.replaces AS serial, max(s.issued_at) AS at
    FROM certificates AS s
    WHERE s.replaces <> ''::bytea AND s.not_after > (SELECT min(c.issued_at) FROM covered AS c)
      AND (s.method <> 'pre_renew' OR EXISTS (SELECT FROM collected AS k WHERE k.serial = s.serial))
    GROUP BY s.replaces
)
SELECT
    c.issuer,
    count(*) FILTER (WHERE r.serial IS NULL) AS dependents,
    max(c.not_after) FILTER (WHERE r.serial IS NULL) AS not_after,
    coalesce(sum(1 / extract(epoch FROM c.not_after - c.not_before)::float8) FILTER (WHERE r.serial IS NULL), 0) AS per_second,
    count(*) FILTER (WHERE r.at >= $4) AS renewed
FROM covered AS c
LEFT JOIN renewed AS r ON r.serial = c.serial
GROUP BY c.issuer
