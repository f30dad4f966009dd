-- Rows are locked in the order of their keys, so that two replicas do not wait for each other in a
-- circle. greatest passes over null.
INSERT INTO mtls_reports AS r (spiffe_id, listener, instance, mode, source, observed_since, last_mtls, last_plaintext, reported_at, not_after)
SELECT i.spiffe_id, i.listener, i.instance, i.mode, i.source, i.observed_since, i.last_mtls, i.last_plaintext, i.reported_at, i.not_after
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[],
    $6::timestamptz[], $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[]
) AS i (spiffe_id, listener, instance, mode, source, observed_since, last_mtls, last_plaintext, reported_at, not_after)
ORDER BY i.spiffe_id COLLATE "C", i.listener COLLATE "C", i.instance COLLATE "C"
ON CONFLICT (spiffe_id, listener, instance) DO UPDATE
SET mode = excluded.mode, source = excluded.source, observed_since = excluded.observed_since,
    last_mtls = greatest(r.last_mtls, excluded.last_mtls), last_plaintext = greatest(r.last_plaintext, excluded.last_plaintext),
    reported_at = greatest(r.reported_at, excluded.reported_at), not_after = greatest(r.not_after, excluded.not_after)
