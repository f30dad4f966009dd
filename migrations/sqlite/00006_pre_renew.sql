-- +goose Up

-- Certificates of such an entry are renewed by Pando, for the key that they have.
ALTER TABLE entries ADD COLUMN pre_renew INTEGER NOT NULL DEFAULT 0;

-- One row for each certificate that Pando has renewed by itself and whose holder has been given
-- it. It is dropped once the certificate has expired.
CREATE TABLE collected (
    serial    BLOB    NOT NULL PRIMARY KEY,
    not_after INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX collected_not_after ON collected (not_after);

-- The figures of the fleet, computed by one replica and shown by all.
CREATE TABLE figures (
    one         INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    data        TEXT    NOT NULL, -- JSON
    computed_at INTEGER NOT NULL
) STRICT;
