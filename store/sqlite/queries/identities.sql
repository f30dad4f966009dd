-- The newest certificate of each SPIFFE ID past ?1, of those that end after ?2. It steps from one
-- SPIFFE ID to the next, and to the end of each, in certificates_spiffe_id.
WITH RECURSIVE identities (spiffe_id) AS (
    SELECT (SELECT min(c.spiffe_id) FROM certificates AS c WHERE c.spiffe_id > ?1)
    UNION ALL
    SELECT (SELECT min(c.spiffe_id) FROM certificates AS c WHERE c.spiffe_id > i.spiffe_id)
    FROM identities AS i
    WHERE i.spiffe_id IS NOT NULL
)
SELECT c.spiffe_id, c.serial, c.profile, c.issuer, c.not_before, c.not_after, r.serial IS NOT NULL AS revoked
FROM identities AS i
CROSS JOIN certificates AS c ON c.rowid = (
    SELECT n.rowid
    FROM certificates AS n
    WHERE n.spiffe_id = i.spiffe_id
    ORDER BY n.not_after DESC, n.serial
    LIMIT 1
)
LEFT JOIN revocations AS r ON r.serial = c.serial
WHERE i.spiffe_id IS NOT NULL AND c.not_after > ?2
LIMIT ?3
