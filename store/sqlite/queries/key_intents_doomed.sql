SELECT k.reference
FROM key_intents AS k
WHERE k.doomed
ORDER BY k.created_at, k.reference
