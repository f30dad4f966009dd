DELETE FROM key_intents WHERE reference = ?1 AND doomed
