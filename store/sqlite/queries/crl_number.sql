SELECT coalesce(max(c.number), 0) FROM crls AS c WHERE c.authority = ?1 AND c.shard = ?2
