SELECT coalesce(max(version_id), 0) FROM schema_version WHERE is_applied
