-- +goose Up

ALTER TABLE authorities
    ADD COLUMN cross_parent_id   text   NOT NULL DEFAULT '', -- empty: not cross-certified
    ADD COLUMN cross_certificate bytea  NOT NULL DEFAULT '',
    ADD COLUMN sequence          bigint NOT NULL DEFAULT 0;  -- of the first bundle that held it; 0 for an intermediate

-- Up to now the bundle has never changed.
UPDATE authorities SET sequence = g.sequence FROM generation AS g WHERE authorities.role = 'root';

-- A row stays when its lease is free: the next term follows from it.
CREATE TABLE leases (
    name       text        PRIMARY KEY COLLATE "C",
    holder     text        NOT NULL,
    term       bigint      NOT NULL,
    expires_at timestamptz NOT NULL
);

-- One row for each certificate whose holder has acknowledged a bundle, none for a revoked one.
-- A row without a sequence counts no more: a successor of the certificate has acknowledged. It
-- stays until the certificate expires, so that an acknowledgement that comes late does not
-- bring it back.
CREATE TABLE acks (
    serial    bytea       PRIMARY KEY,
    sequence  bigint,
    not_after timestamptz NOT NULL
) WITH (fillfactor = 80); -- an update of the sequence finds room beside the row, and touches no index

CREATE INDEX acks_not_after ON acks (not_after);
