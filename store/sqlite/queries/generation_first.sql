INSERT INTO generation (one, number, trust_domain, sequence, published_at, window_key)
SELECT 1, ?2, ?3, ?4, ?5, ?6
WHERE ?1 = 0
ON CONFLICT DO NOTHING
