SELECT coalesce(max(v.version_id), 0) FROM schema_version AS v WHERE v.is_applied
