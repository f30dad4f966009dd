SELECT id, spiffe_id, dns_names, profile, method, issuer, claims, created_at, created_by, pre_renew, watch
FROM entries
WHERE ($1::text = '' OR spiffe_id = $1)
  AND ($2::text = '' OR method = $2)
  AND (NOT $3::boolean OR pre_renew)
  AND (NOT $4::boolean OR watch)
  AND id > $5
ORDER BY id
LIMIT $6
