SELECT id, spiffe_id, dns_names, profile, method, issuer, claims, created_at, created_by, pre_renew, watch
FROM entries
WHERE id = ?1
