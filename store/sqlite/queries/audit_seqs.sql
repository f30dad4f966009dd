-- The number that was given last. It is never given again, also not when the row is gone.
SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'audit'
