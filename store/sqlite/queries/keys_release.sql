-- The keys in tokens of the generation that is replaced.
INSERT INTO key_intents (reference, created_at, doomed)
SELECT a.key, ?1, true
FROM authorities AS a
WHERE substr(a.key, 1, length(?2)) = ?2
ON CONFLICT (reference) DO NOTHING
