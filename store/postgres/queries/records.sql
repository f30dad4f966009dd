-- Reads certificates_issuer from its end, for each issuer that there is, and merges: an index
-- on not_after alone would cost every issuance, and there are only a few issuers.
WITH RECURSIVE issuers AS (
    (SELECT c.issuer FROM certificates AS c ORDER BY c.issuer LIMIT 1)
    UNION ALL
    SELECT (SELECT c.issuer FROM certificates AS c WHERE c.issuer > i.issuer ORDER BY c.issuer LIMIT 1)
    FROM issuers AS i
    WHERE i.issuer IS NOT NULL
)
SELECT
    p.serial, p.spiffe_id, p.dns_names, p.profile, p.issuer, p.key_hash, p.key_algorithm, p.issued_at, p.not_before,
    p.not_after, p.method, p.caller, p.address, p.entry_id, p.replaces, p.request_id, p.certificate,
    p.revoked_at, p.reason
FROM issuers AS i
CROSS JOIN LATERAL (
    SELECT
        c.serial, c.spiffe_id, c.dns_names, c.profile, c.issuer, c.key_hash, c.key_algorithm, c.issued_at, c.not_before,
    c.not_after, c.method, c.caller, c.address, c.entry_id, c.replaces, c.request_id, c.certificate,
    r.revoked_at, r.reason
    FROM certificates AS c
    LEFT JOIN revocations AS r ON r.serial = c.serial
    WHERE c.issuer = i.issuer
      AND ($1::text = '' OR ($1::text = 'live' AND c.not_after > $2::timestamptz AND r.serial IS NULL)
       OR ($1::text = 'expired' AND c.not_after <= $2::timestamptz AND r.serial IS NULL))
      AND c.not_after < $3::timestamptz
      AND c.not_after <= $4::timestamptz
      AND (c.not_after < $4::timestamptz OR c.serial > $5::bytea)
    ORDER BY c.not_after DESC, c.serial
    LIMIT $6
) AS p
WHERE i.issuer IS NOT NULL
ORDER BY p.not_after DESC, p.serial
LIMIT $6
