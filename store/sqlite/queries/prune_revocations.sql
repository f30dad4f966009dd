-- A part at a time, so that insertions get their turn between.
DELETE FROM revocations
WHERE serial IN (SELECT r.serial FROM revocations AS r WHERE r.not_after < ?1 ORDER BY r.not_after LIMIT ?2)
