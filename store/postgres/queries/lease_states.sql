SELECT l.name, l.holder, l.term, l.expires_at, l.expires_at - clock_timestamp() AS remaining FROM leases AS l ORDER BY l.name
