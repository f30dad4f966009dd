UPDATE leases SET expires_at = to_timestamp(0) WHERE name = $1 AND holder = $2 AND term = $3
