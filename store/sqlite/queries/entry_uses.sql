-- Whether entries from before ?1 have a certificate that ends after ?2: for each of the first ?3, one
-- look into certificates_spiffe_id.
SELECT e.id, e.spiffe_id, EXISTS (
    SELECT 1 FROM certificates AS n WHERE n.spiffe_id = e.spiffe_id AND n.not_after > ?2
) AS used
FROM (
    SELECT f.id, f.spiffe_id
    FROM entries AS f
    WHERE f.created_at < ?1 AND instr(f.spiffe_id, '{') = 0
    ORDER BY f.id
    LIMIT ?3
) AS e
ORDER BY e.id
