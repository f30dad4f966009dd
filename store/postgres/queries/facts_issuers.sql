-- Counts the entries of certificates_issuer that are past $1, for each issuer that there is, and
-- takes off the revoked ones, which are all there: a revocation outlives its certificate. $2
-- is the beginning of the day of $1: earlier partitions hold what has expired.
WITH RECURSIVE issuers AS (
    (SELECT c.issuer FROM certificates AS c WHERE c.not_after >= $2 ORDER BY c.issuer LIMIT 1)
    UNION ALL
    SELECT (SELECT c.issuer FROM certificates AS c WHERE c.issuer > i.issuer AND c.not_after >= $2 ORDER BY c.issuer LIMIT 1)
    FROM issuers AS i
    WHERE i.issuer IS NOT NULL
), revoked AS MATERIALIZED (
    SELECT r.issuer, count(*) AS certificates FROM revocations AS r WHERE r.not_after > $1 GROUP BY r.issuer
)
SELECT
    i.issuer,
    l.certificates - coalesce(r.certificates, 0) AS live,
    l.certificates AS unexpired,
    (
        SELECT c.not_after FROM certificates AS c
        WHERE c.issuer = i.issuer AND c.not_after > $1
        ORDER BY c.not_after DESC
        LIMIT 1
    ) AS not_after
FROM issuers AS i
CROSS JOIN LATERAL (
    SELECT count(*) AS certificates FROM certificates AS c WHERE c.issuer = i.issuer AND c.not_after > $1
) AS l
LEFT JOIN revoked AS r ON r.issuer = i.issuer
WHERE i.issuer IS NOT NULL AND l.certificates > 0
