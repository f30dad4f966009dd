-- +goose Up

ALTER TABLE authorities ADD COLUMN cross_parent_id TEXT NOT NULL DEFAULT ''; -- empty: not cross-certified
ALTER TABLE authorities ADD COLUMN cross_certificate BLOB NOT NULL DEFAULT x'';
ALTER TABLE authorities ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0; -- of the first bundle that held it; 0 for an intermediate

-- Up to now the bundle has never changed.
UPDATE authorities SET sequence = (SELECT g.sequence FROM generation AS g) WHERE role = 'root';

-- A row stays when its lease is free: the next term follows from it.
CREATE TABLE leases (
    name       TEXT    NOT NULL PRIMARY KEY,
    holder     TEXT    NOT NULL,
    term       INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row for each certificate whose holder has acknowledged a bundle, none for a revoked one.
-- A row without a sequence counts no more: a successor of the certificate has acknowledged. It
-- stays until the certificate expires, so that an acknowledgement that comes late does not
-- bring it back.
CREATE TABLE acks (
    serial    BLOB    NOT NULL PRIMARY KEY,
    sequence  INTEGER,
    not_after INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX acks_not_after ON acks (not_after, sequence);
