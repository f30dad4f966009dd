-- Who has acknowledged a bundle in the time that is lost need not have had this root in it.
UPDATE authorities
SET sequence = (SELECT g.sequence FROM generation AS g), state_since = clock_timestamp()
WHERE role = 'root' AND state = 'prepared'
