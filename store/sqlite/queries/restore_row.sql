-- {table}, {columns} and {values} are put in by the program, as in snapshot_read.sql.
INSERT INTO {table} ({columns}) VALUES ({values})
