UPDATE mtls_overrides
SET ended_at = ?2, ended_by = ?3, end_reason = ?4
WHERE id = ?1 AND ended_at IS NULL AND expires_at > ?2
