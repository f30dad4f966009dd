SELECT l.term FROM leases AS l WHERE l.name = ?1 AND l.term = ?2
