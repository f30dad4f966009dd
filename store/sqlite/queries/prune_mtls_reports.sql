-- A part at a time, so that insertions get their turn between.
DELETE FROM mtls_reports
WHERE (spiffe_id, listener, instance) IN (
    SELECT r.spiffe_id, r.listener, r.instance FROM mtls_reports AS r WHERE r.not_after < ?1 LIMIT ?2
)
