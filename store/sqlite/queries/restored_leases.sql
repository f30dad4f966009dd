-- ?1 is now in seconds since 1970. Nobody leads, and no term comes back.
UPDATE leases SET holder = '', term = max(term + 1, ?1), expires_at = 0
