-- One acknowledgement. A certificate that has been replaced has no sequence, and gets none.
INSERT INTO acks AS a (serial, sequence, not_after)
SELECT ?1, ?2, ?3
WHERE NOT EXISTS (SELECT 1 FROM revocations AS r WHERE r.serial = ?1)
ON CONFLICT (serial) DO UPDATE
SET sequence = excluded.sequence
WHERE a.sequence < excluded.sequence
