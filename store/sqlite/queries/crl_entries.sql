-- One statement, so that it sees all revocations up to the last one that it returns.
WITH RECURSIVE octets(octet) AS (SELECT ?2 UNION ALL SELECT o.octet + ?3 FROM octets AS o WHERE o.octet + ?3 < 256)
SELECT r.serial, r.issuer, r.not_after, r.revoked_at, r.reason, r.seq
FROM octets AS o
CROSS JOIN revocations AS r ON r.issuer = ?1 AND hex(substr(r.serial, 5, 1)) = printf('%02X', o.octet)
