SELECT nextval(pg_get_serial_sequence('audit', 'seq')) FROM generate_series(1, $1)
