INSERT INTO authority_requests (role, key, csr, created_at, created_by)
VALUES ($1, $2, $3, $4, $5)
