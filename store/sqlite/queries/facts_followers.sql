SELECT a.sequence, count(*)
FROM acks AS a
WHERE a.not_after > ?1 AND a.sequence IS NOT NULL
GROUP BY a.sequence
