SELECT id, spiffe_id, dns_names, profile, method, issuer, claims, created_at, created_by, pre_renew, watch
FROM entries
WHERE (?1 = '' OR spiffe_id = ?1)
  AND (?2 = '' OR method = ?2)
  AND (NOT ?3 OR pre_renew)
  AND (NOT ?4 OR watch)
  AND id > ?5
ORDER BY id
LIMIT ?6
