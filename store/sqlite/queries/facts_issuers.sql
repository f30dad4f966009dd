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
        (SELECT count(*) FROM certificates AS c WHERE c.issuer = i.issuer AND c.not_after > ?1) AS unexpired
    FROM issuers AS i
    WHERE i.issuer IS NOT NULL
)
SELECT
    n.issuer,
    n.unexpired - coalesce((SELECT r.certificates FROM revoked AS r WHERE r.issuer = n.issuer), 0) AS live,
    n.unexpired,
    (SELECT max(c.not_after) FROM certificates AS c WHERE c.issuer = n.issuer) AS not_after
FROM counted AS n
WHERE n.unexpired > 0
