-- +goose Up

-- When something was done last: backup (a good one of this database, whoever made it),
-- backup-job (the same, by the job) and restore (this database was restored from a backup).
CREATE TABLE milestones (
    name TEXT    NOT NULL PRIMARY KEY,
    at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
