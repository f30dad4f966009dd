-- Rows of a release that knows no chain. There is a limit, so that the lock is not held for long.
SELECT seq, at, actor, action, target, detail, link, hash FROM audit WHERE link IS NULL ORDER BY seq LIMIT 10000
