-- The newest certificate of each SPIFFE ID past $1, of those that end after $2. Their ends come
-- from the entries of certificates_spiffe_id alone; each row is then found by its SPIFFE ID in the
-- one partition of its end.
WITH newest AS MATERIALIZED (
    SELECT c.spiffe_id, max(c.not_after) AS not_after
    FROM certificates AS c
    WHERE c.spiffe_id > $1 AND c.not_after > $2
    GROUP BY c.spiffe_id
    ORDER BY c.spiffe_id
    LIMIT $3
)
SELECT DISTINCT ON (n.spiffe_id)
    n.spiffe_id, c.serial, c.profile, c.issuer, c.not_before, n.not_after, r.serial IS NOT NULL AS revoked
FROM newest AS n
JOIN certificates AS c ON c.spiffe_id = n.spiffe_id AND c.not_after = n.not_after
LEFT JOIN revocations AS r ON r.serial = c.serial
ORDER BY n.spiffe_id, c.serial
