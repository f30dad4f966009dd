-- {table} is put in by the program, as in snapshot_read.sql.
SELECT EXISTS (SELECT 1 FROM {table})
