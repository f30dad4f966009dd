SELECT r.name, r.version, r.schema_number, r.skew, r.seen_at FROM replicas AS r ORDER BY r.name
