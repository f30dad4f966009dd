-- Why a certificate was not written.
SELECT
    EXISTS (SELECT 1 FROM revocations AS r WHERE r.serial = ?4) AS caller_revoked,
    EXISTS (SELECT 1 FROM blocked_keys AS b WHERE b.key_hash = ?3) AS key_blocked,
    (?5 <> '' AND NOT EXISTS (SELECT 1 FROM entries AS e WHERE e.id = ?5))
        OR coalesce(t.entry_id <> ?5, 0) AS entry_gone,
    t.used_at IS NOT NULL AS token_used,
    length(?6) > 0 AND coalesce(t.expires_at <= ?2, 1) AS token_expired,
    EXISTS (SELECT 1 FROM replays AS p WHERE p.digest = ?7) AS replayed,
    EXISTS (SELECT 1 FROM generation)
        AND NOT EXISTS (SELECT 1 FROM authorities AS a WHERE a.id = ?8 AND a.state = 'active') AS issuer_inactive,
    EXISTS (SELECT 1 FROM certificates AS c WHERE c.serial = ?1) AS serial_taken
FROM (SELECT 1) AS one
LEFT JOIN tokens AS t ON t.hash = ?6
