-- Consumes a join token, by the certificate that was written just before.
UPDATE tokens
SET used_at = ?4, used_by = ?2, used_key = ?3
WHERE hash = ?1 AND entry_id = ?5 AND used_at IS NULL AND expires_at > ?4
