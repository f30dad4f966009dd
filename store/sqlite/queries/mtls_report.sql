-- max is null when one of its arguments is.
INSERT INTO mtls_reports AS r (spiffe_id, listener, instance, mode, source, observed_since, last_mtls, last_plaintext, reported_at, not_after)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
ON CONFLICT (spiffe_id, listener, instance) DO UPDATE
SET mode = excluded.mode, source = excluded.source, observed_since = excluded.observed_since,
    last_mtls = coalesce(max(r.last_mtls, excluded.last_mtls), r.last_mtls, excluded.last_mtls),
    last_plaintext = coalesce(max(r.last_plaintext, excluded.last_plaintext), r.last_plaintext, excluded.last_plaintext),
    reported_at = max(r.reported_at, excluded.reported_at), not_after = max(r.not_after, excluded.not_after)
