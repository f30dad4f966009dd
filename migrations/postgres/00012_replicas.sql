-- +goose Up

-- The replicas that run, as each tells of itself twice a minute. skew is by how many microseconds the
-- clock of the database is ahead of that of the replica, schema_number the last migration that it has.
CREATE TABLE replicas (
    name          text        PRIMARY KEY COLLATE "C",
    version       text        NOT NULL,
    schema_number bigint      NOT NULL,
    skew          bigint      NOT NULL,
    seen_at       timestamptz NOT NULL
);
