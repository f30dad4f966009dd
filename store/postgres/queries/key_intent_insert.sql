INSERT INTO key_intents (reference, created_at, doomed)
VALUES ($1, $2, $3)
