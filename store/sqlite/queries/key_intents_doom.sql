UPDATE key_intents SET doomed = true WHERE created_at < ?1 AND NOT doomed
