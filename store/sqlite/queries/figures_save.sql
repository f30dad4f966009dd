INSERT INTO figures (one, data, computed_at)
VALUES (1, ?1, ?2)
ON CONFLICT (one) DO UPDATE
SET data = excluded.data, computed_at = excluded.computed_at
