-- ?1 is now in microseconds since 1970.
UPDATE mtls_version SET version = max(version + 1, ?1)
