-- Blocks the key of a certificate.
INSERT INTO blocked_keys (key_hash, blocked_at)
SELECT c.key_hash, ?2 FROM certificates AS c WHERE c.serial = ?1
ON CONFLICT DO NOTHING
