DELETE FROM authority_requests WHERE key = ?1
