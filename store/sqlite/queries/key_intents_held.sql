DELETE FROM key_intents WHERE reference IN (SELECT a.key FROM authorities AS a)
