-- $1 is now in microseconds since 1970.
UPDATE mtls_version SET version = greatest(version + 1, $1::bigint)
