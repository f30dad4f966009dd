-- There is no index by key: reads all that has not expired. What $1 selects, that expires
-- after $2 and is not revoked, from the place ($3, $4) on.
SELECT c.serial, c.not_after, c.spiffe_id
FROM certificates AS c
WHERE c.key_hash = $1::bytea
  AND c.not_after > $2::timestamptz
  AND c.not_after >= $3::timestamptz
  AND (c.not_after > $3::timestamptz OR c.serial > $4::bytea)
  AND NOT EXISTS (SELECT FROM revocations AS r WHERE r.serial = c.serial)
ORDER BY c.not_after, c.serial
LIMIT $5
