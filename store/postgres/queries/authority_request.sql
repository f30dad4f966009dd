SELECT r.role, r.key, r.csr, r.created_at, r.created_by
FROM authority_requests AS r
WHERE r.role = $1
