-- +goose Up

-- When something was done last: backup (a good one of this database, whoever made it),
-- backup-job (the same, by the job) and restore (this database was restored from a backup).
CREATE TABLE milestones (
    name text        PRIMARY KEY COLLATE "C",
    at   timestamptz NOT NULL
);
