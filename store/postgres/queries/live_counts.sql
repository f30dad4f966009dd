-- Reads what certificates_issuer has past $1, for each issuer that there is. $2 is the beginning
-- of the day of $1: earlier partitions hold what has expired. $3 is from when on an issue is recent:
-- it is in the row that is read for its profile.
WITH RECURSIVE issuers AS (
    (SELECT c.issuer FROM certificates AS c WHERE c.not_after >= $2 ORDER BY c.issuer LIMIT 1)
    UNION ALL
    SELECT (SELECT c.issuer FROM certificates AS c WHERE c.issuer > i.issuer AND c.not_after >= $2 ORDER BY c.issuer LIMIT 1)
    FROM issuers AS i
    WHERE i.issuer IS NOT NULL
)
SELECT l.profile, i.issuer, l.certificates, l.issued
FROM issuers AS i
CROSS JOIN LATERAL (
    SELECT c.profile, count(*) AS certificates, count(*) FILTER (WHERE c.issued_at > $3 AND c.issued_at <= $1) AS issued
    FROM certificates AS c
    WHERE c.issuer = i.issuer AND c.not_after > $1
      AND NOT EXISTS (SELECT FROM revocations AS v WHERE v.serial = c.serial)
    GROUP BY c.profile
) AS l
WHERE i.issuer IS NOT NULL
ORDER BY l.profile, i.issuer
