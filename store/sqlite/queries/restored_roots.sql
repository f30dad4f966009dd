-- ?1 is now in microseconds since 1970. Who has acknowledged a bundle in the time that is lost need
-- not have had this root in it.
UPDATE authorities
SET sequence = (SELECT g.sequence FROM generation AS g), state_since = ?1
WHERE role = 'root' AND state = 'prepared'
