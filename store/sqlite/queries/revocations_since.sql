SELECT r.serial, r.issuer, r.not_after, r.revoked_at, r.reason, r.seq
FROM revocations AS r INDEXED BY revocations_seq
WHERE r.seq > ?1 AND r.not_after > ?2
ORDER BY r.seq
LIMIT ?3
