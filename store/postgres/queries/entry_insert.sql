INSERT INTO entries (id, spiffe_id, dns_names, profile, method, issuer, claims, created_at, created_by, pre_renew, watch)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
