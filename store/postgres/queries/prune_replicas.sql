DELETE FROM replicas WHERE seen_at < clock_timestamp() - interval '1 hour'
