DELETE FROM authority_requests WHERE role = $1 RETURNING key
