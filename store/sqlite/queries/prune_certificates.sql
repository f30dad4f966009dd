-- A part at a time, so that insertions get their turn between.
DELETE FROM certificates
WHERE rowid IN (SELECT c.rowid FROM certificates AS c WHERE c.not_after < ?1 LIMIT ?2)
