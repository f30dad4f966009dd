SELECT l.name, l.holder, l.term, l.expires_at FROM leases AS l ORDER BY l.name
