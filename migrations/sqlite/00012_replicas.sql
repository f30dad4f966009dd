-- +goose Up

-- The replica that runs, as it tells of itself twice a minute. skew is by how many microseconds the
-- clock of the database is ahead of that of the replica, schema_number the last migration that it has.
CREATE TABLE replicas (
    name          TEXT    NOT NULL PRIMARY KEY,
    version       TEXT    NOT NULL,
    schema_number INTEGER NOT NULL,
    skew          INTEGER NOT NULL,
    seen_at       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
