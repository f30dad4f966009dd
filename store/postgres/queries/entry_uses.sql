-- Whether entries from before $1 have a certificate that ends after $2: for each of the first $3, one
-- look into certificates_spiffe_id of each day.
SELECT e.id, e.spiffe_id, c.found IS NOT NULL AS used
FROM (
    SELECT f.id, f.spiffe_id
    FROM entries AS f
    WHERE f.created_at < $1 AND strpos(f.spiffe_id, '{') = 0
    ORDER BY f.id
    LIMIT $3
) AS e
LEFT JOIN LATERAL (
    SELECT true AS found FROM certificates AS n WHERE n.spiffe_id = e.spiffe_id AND n.not_after > $2 LIMIT 1
) AS c ON true
ORDER BY e.id
