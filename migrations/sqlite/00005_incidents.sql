-- +goose Up

-- Mass re-issues. Those without an end are part of the generation.
CREATE TABLE incidents (
    id            TEXT    NOT NULL PRIMARY KEY,
    created_at    INTEGER NOT NULL,
    actor         TEXT    NOT NULL,
    reason        TEXT    NOT NULL,
    issuers       TEXT    NOT NULL, -- JSON
    issued_before INTEGER NOT NULL,
    starts_at     INTEGER NOT NULL,
    deadline      INTEGER NOT NULL,
    rate          REAL    NOT NULL, -- certificates per second
    total         INTEGER NOT NULL,
    closed_at     INTEGER
) STRICT, WITHOUT ROWID;
