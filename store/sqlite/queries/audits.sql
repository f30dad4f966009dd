SELECT seq, at, actor, action, target, detail
FROM audit
WHERE seq < ?1
ORDER BY seq DESC
LIMIT ?2
