-- The keys in tokens of the generation that is replaced.
INSERT INTO key_intents (reference, created_at, doomed)
SELECT a.key, $1, true
FROM authorities AS a
WHERE substring(a.key FROM 1 FOR length($2::bytea)) = $2
ON CONFLICT (reference) DO NOTHING
