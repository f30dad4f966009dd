-- ?1 is now in seconds since 1970.
UPDATE entry_version SET version = max(version + 1, ?1)
