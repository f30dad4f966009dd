INSERT INTO audit (seq, at, actor, action, target, detail, link, hash)
OVERRIDING SYSTEM VALUE
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
