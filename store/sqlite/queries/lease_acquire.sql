-- Returns no row while another holder has the lease. ?3 is now, ?4 when the lease runs out.
INSERT INTO leases AS l (name, holder, term, expires_at)
VALUES (?1, ?2, 1, ?4)
ON CONFLICT (name) DO UPDATE
SET holder = excluded.holder,
    term = l.term + CASE WHEN l.holder = excluded.holder AND l.expires_at > ?3 THEN 0 ELSE 1 END,
    expires_at = excluded.expires_at
WHERE l.holder = excluded.holder OR l.expires_at <= ?3
RETURNING term, expires_at
