-- The numbers of the audit rows go on.
SELECT setval(pg_get_serial_sequence('audit', 'seq'), greatest(max(a.seq), 1), max(a.seq) IS NOT NULL) FROM audit AS a
