-- ?1 is an hour ago.
DELETE FROM replicas WHERE seen_at < ?1
