-- One statement, so that it sees all revocations up to the last one that it returns.
SELECT r.serial, r.issuer, r.not_after, r.revoked_at, r.reason, r.seq
FROM revocations AS r
WHERE r.issuer = $1
  AND get_byte(r.serial, 4) = ANY (ARRAY(SELECT o.octet FROM generate_series($2::integer, 255, $3::integer) AS o(octet)))
