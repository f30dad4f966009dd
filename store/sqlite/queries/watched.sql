-- The newest certificate of the SPIFFE ID of each watched entry, if it ends after ?1: for each, the
-- last entries of certificates_spiffe_id.
SELECT w.spiffe_id, c.serial, c.profile, c.issuer, c.not_before, c.not_after, r.serial IS NOT NULL AS revoked
FROM (SELECT DISTINCT e.spiffe_id FROM entries AS e WHERE e.watch ORDER BY e.spiffe_id LIMIT ?2) AS w
CROSS JOIN certificates AS c ON c.rowid = (
    SELECT n.rowid
    FROM certificates AS n
    WHERE n.spiffe_id = w.spiffe_id AND n.not_after > ?1
    ORDER BY n.not_after DESC, n.serial
    LIMIT 1
)
LEFT JOIN revocations AS r ON r.serial = c.serial
ORDER BY w.spiffe_id
