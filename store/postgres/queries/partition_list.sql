-- Tables of the same schema that are partitions of certificates, or were and are still to be
-- dropped. state: attached, detaching (a detachment that was interrupted) or detached.
SELECT
    c.relname::text,
    CASE WHEN i.inhrelid IS NULL THEN 'detached' WHEN i.inhdetachpending THEN 'detaching' ELSE 'attached' END AS state
FROM pg_class AS c
JOIN pg_class AS parent ON parent.oid = 'certificates'::regclass AND parent.relnamespace = c.relnamespace
LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid AND i.inhparent = parent.oid
WHERE c.relkind = 'r' AND c.relname ~ '^certificates_d[0-9]{8}$'
ORDER BY c.relname
