UPDATE generation
SET number = ?2, trust_domain = ?3, sequence = ?4, published_at = ?5, window_key = ?6
WHERE number = ?1
