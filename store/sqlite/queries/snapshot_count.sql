-- {table} and {condition} are put in by the program, as in snapshot_read.sql.
SELECT count(*) FROM {table} WHERE {condition}
