SELECT id, spiffe_id, dns_names, profile, method, issuer, claims, created_at, created_by, pre_renew
FROM entries
WHERE ($1::text = '' OR spiffe_id = $1)
  AND ($2::text = '' OR method = $2)
  AND (NOT $3::boolean OR pre_renew)
  AND id > $4
ORDER BY id
LIMIT $5
