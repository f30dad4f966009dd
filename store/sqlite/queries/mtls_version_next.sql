-- ?1 is the time in microseconds, so that a restored database gives no number twice.
UPDATE mtls_version SET version = max(version + 1, ?1) RETURNING version
