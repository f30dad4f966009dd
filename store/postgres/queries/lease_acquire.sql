-- Returns no row while another holder has the lease.
INSERT INTO leases AS l (name, holder, term, expires_at)
VALUES ($1, $2, 1, now() + $3::bigint * interval '1 microsecond')
ON CONFLICT (name) DO UPDATE
SET holder = excluded.holder,
    term = l.term + CASE WHEN l.holder = excluded.holder AND l.expires_at > now() THEN 0 ELSE 1 END,
    expires_at = excluded.expires_at
WHERE l.holder = excluded.holder OR l.expires_at <= now()
RETURNING l.term, l.expires_at
