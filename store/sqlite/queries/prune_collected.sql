-- A part at a time, so that insertions get their turn between.
DELETE FROM collected
WHERE serial IN (SELECT c.serial FROM collected AS c WHERE c.not_after < ?1 LIMIT ?2)
