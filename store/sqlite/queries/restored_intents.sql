-- An authority that is lost may have come to hold such a key, and where it was lost from may go on.
DELETE FROM key_intents WHERE NOT doomed
