INSERT INTO figures (data, computed_at)
VALUES ($1, clock_timestamp())
ON CONFLICT (one) DO UPDATE
SET data = excluded.data, computed_at = excluded.computed_at
