SELECT seq, at, actor, action, target, detail, link, hash
FROM audit
WHERE seq < ?1 AND seq > ?2
  AND (?3 = '' OR actor = ?3) AND (?4 = '' OR action = ?4) AND (?5 = '' OR target = ?5)
  AND (?6 IS NULL OR at >= ?6) AND (?7 IS NULL OR at < ?7)
ORDER BY seq
LIMIT ?8
