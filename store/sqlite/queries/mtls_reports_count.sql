SELECT count(*) FROM (SELECT 1 FROM mtls_reports WHERE spiffe_id = ?1 LIMIT ?2) AS r
