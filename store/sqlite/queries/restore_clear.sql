-- {table} is put in by the program, as in snapshot_read.sql.
DELETE FROM {table}
