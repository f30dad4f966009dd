-- +goose Up

-- The oldest version whose binaries may run on this database. A later file that takes away
-- what they use sets it anew; see the package comment of migrations.
CREATE TABLE schema_compatibility (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    since bigint  NOT NULL
);

INSERT INTO schema_compatibility (since) VALUES (0);

UPDATE schema_compatibility SET since = 7 WHERE since < 7;
