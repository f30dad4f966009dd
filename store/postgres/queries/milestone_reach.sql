-- $2 is how long ago it was, in microseconds.
INSERT INTO milestones (name, at) VALUES ($1, clock_timestamp() - $2::bigint * interval '1 microsecond')
ON CONFLICT (name) DO UPDATE SET at = excluded.at
