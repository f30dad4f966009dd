-- Marks the certificate that one that was acknowledged has replaced; none is needed when its
-- record is pruned, since it has expired.
INSERT INTO acks AS a (serial, sequence, not_after)
SELECT old.serial, NULL, old.not_after
FROM certificates AS c
JOIN certificates AS old ON old.serial = c.replaces
WHERE c.serial = ?1
ON CONFLICT (serial) DO UPDATE
SET sequence = NULL
WHERE a.sequence IS NOT NULL
