-- Counts the entries of certificates_issuer that are past ?1, for each issuer that there is, and
-- takes off the revoked ones, which are all there: a revocation outlives its certificate.
WITH RECURSIVE issuers (issuer) AS (
    SELECT min(c.issuer) FROM certificates AS c
    UNION ALL
    SELECT (SELECT min(c.issuer) FROM certificates AS c WHERE c.issuer > i.issuer)
    FROM issuers AS i
    WHERE i.issuer IS NOT NULL
), revoked AS MATERIALIZED (
    SELECT r.issuer, count(*) AS certificates FROM revocations AS r WHERE r.not_after > ?1 GROUP BY r.issuer
), counted AS MATERIALIZED (
    SELECT
        i.issuer,
        (SELECT count(*) FROM certificates AS c WHERE c.issuer = i.issuer AND c.not_after > ?1)
            - coalesce((SELECT r.certificates FROM revoked AS r WHERE r.issuer = i.issuer), 0) AS live
    FROM issuers AS i
    WHERE i.issuer IS NOT NULL
)
SELECT
    n.issuer,
    n.live,
    (
        SELECT c.not_after FROM certificates AS c
        WHERE c.issuer = n.issuer AND c.not_after > ?1
          AND NOT EXISTS (SELECT 1 FROM revocations AS v WHERE v.serial = c.serial)
        ORDER BY c.not_after DESC
        LIMIT 1
    ) AS not_after
FROM counted AS n
WHERE n.live > 0
