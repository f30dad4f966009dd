SELECT r.serial, r.issuer, r.not_after, r.revoked_at, r.reason, r.seq
FROM revocations AS r
WHERE r.seq > $1::bigint AND r.not_after > $2::timestamptz
ORDER BY r.seq
LIMIT $3
