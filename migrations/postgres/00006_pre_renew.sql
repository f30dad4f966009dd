-- +goose Up

-- Certificates of such an entry are renewed by Pando, for the key that they have.
ALTER TABLE entries ADD COLUMN pre_renew boolean NOT NULL DEFAULT false;

CREATE INDEX entries_pre_renew ON entries (id) WHERE pre_renew;

-- One row for each certificate that Pando has renewed by itself and whose holder has been given
-- it. It is dropped once the certificate has expired.
CREATE TABLE collected (
    serial    bytea       PRIMARY KEY,
    not_after timestamptz NOT NULL
);

CREATE INDEX collected_not_after ON collected (not_after);

-- The figures of the fleet, computed by one replica and shown by all.
CREATE TABLE figures (
    one         boolean     PRIMARY KEY DEFAULT true CHECK (one),
    data        jsonb       NOT NULL,
    computed_at timestamptz NOT NULL
);
