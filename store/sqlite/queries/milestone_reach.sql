-- ?2 is in microseconds since 1970.
INSERT INTO milestones (name, at) VALUES (?1, ?2)
ON CONFLICT (name) DO UPDATE SET at = excluded.at
