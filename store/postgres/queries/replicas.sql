SELECT r.name, r.version, r.schema_number, r.skew, clock_timestamp() - r.seen_at AS age FROM replicas AS r ORDER BY r.name
