-- {name}, {from} and {to} are put in by the program: DDL takes no parameters. The table is
-- attached and not created in place, since that would lock the parent against insertions.
CREATE TABLE {name} (LIKE certificates INCLUDING ALL);
CREATE UNIQUE INDEX {name}_serial ON {name} (serial);
ALTER TABLE certificates ATTACH PARTITION {name} FOR VALUES FROM ('{from}') TO ('{to}');
