SELECT id, spiffe_id, dns_names, profile, method, issuer, claims, created_at, created_by
FROM entries
WHERE (?1 = '' OR spiffe_id = ?1)
  AND (?2 = '' OR method = ?2)
  AND id > ?3
ORDER BY id
LIMIT ?4
