INSERT INTO generation (number, trust_domain, sequence, published_at, window_key)
SELECT $2::bigint, $3::text, $4::bigint, $5::timestamptz, $6::bytea
WHERE $1::bigint = 0
ON CONFLICT DO NOTHING
