-- A part at a time, so that insertions get their turn between.
DELETE FROM acks
WHERE serial IN (SELECT a.serial FROM acks AS a WHERE a.not_after < ?1 LIMIT ?2)
