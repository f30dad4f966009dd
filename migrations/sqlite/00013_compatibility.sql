-- +goose Up

-- The oldest version whose binaries may run on this database. A later file that takes away
-- what they use sets it anew; see the package comment of migrations.
CREATE TABLE schema_compatibility (
    one   INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    since INTEGER NOT NULL
) STRICT;

INSERT INTO schema_compatibility (one, since) VALUES (1, 0);

UPDATE schema_compatibility SET since = 7 WHERE since < 7;
