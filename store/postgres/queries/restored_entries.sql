-- $1 is now in seconds since 1970.
UPDATE entry_version SET version = greatest(version + 1, $1::bigint)
