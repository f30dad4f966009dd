INSERT INTO replicas (name, version, schema_number, skew, seen_at) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (name) DO UPDATE
SET version = excluded.version, schema_number = excluded.schema_number, skew = excluded.skew, seen_at = excluded.seen_at
