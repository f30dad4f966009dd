-- +goose Up

-- One row for each certificate. A partition holds one UTC day of not_after, so that pruning is
-- dropping a table. The serial number leads with not_after in seconds, so that the unique index on serial
-- that each partition has (it is made with the partition) is one over all of them: a unique
-- index on the parent would have to include not_after and would not be that.
CREATE TABLE certificates (
    serial        bytea       NOT NULL,
    spiffe_id     text        NOT NULL COLLATE "C",
    dns_names     text        NOT NULL, -- separated by spaces
    profile       text        NOT NULL COLLATE "C",
    issuer        text        NOT NULL COLLATE "C",
    key_hash      bytea       NOT NULL,
    key_algorithm text        NOT NULL COLLATE "C",
    issued_at     timestamptz NOT NULL,
    not_before    timestamptz NOT NULL,
    not_after     timestamptz NOT NULL,
    method        text        NOT NULL COLLATE "C",
    caller        text        NOT NULL COLLATE "C",
    address       text        NOT NULL COLLATE "C",
    entry_id      text        NOT NULL COLLATE "C", -- empty: none. Not a reference: the record outlives the entry
    replaces      bytea       NOT NULL,             -- empty: none
    request_id    text        NOT NULL COLLATE "C",
    certificate   bytea       NOT NULL
) PARTITION BY RANGE (not_after);

CREATE INDEX certificates_spiffe_id ON certificates (spiffe_id, not_after);
CREATE INDEX certificates_issuer ON certificates (issuer, not_after);

-- A revocation keeps its own copy of what a CRL needs, so that it stands when the partition
-- of its certificate is dropped.
CREATE TABLE revocations (
    serial     bytea       PRIMARY KEY,
    issuer     text        NOT NULL COLLATE "C",
    not_after  timestamptz NOT NULL,
    revoked_at timestamptz NOT NULL,
    reason     integer     NOT NULL
);

CREATE INDEX revocations_not_after ON revocations (not_after, serial);

CREATE TABLE blocked_keys (
    key_hash   bytea       PRIMARY KEY,
    blocked_at timestamptz NOT NULL
);

CREATE TABLE entries (
    id         text        PRIMARY KEY COLLATE "C",
    spiffe_id  text        NOT NULL COLLATE "C",
    dns_names  text[]      NOT NULL,
    profile    text        NOT NULL COLLATE "C",
    method     text        NOT NULL COLLATE "C",
    issuer     text        NOT NULL COLLATE "C",
    claims     jsonb       NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text        NOT NULL
);

CREATE INDEX entries_spiffe_id ON entries (spiffe_id, id);

CREATE TABLE entry_version (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    version bigint  NOT NULL
);

INSERT INTO entry_version (version) VALUES (1);

CREATE TABLE tokens (
    id         text        PRIMARY KEY COLLATE "C",
    hash       bytea       NOT NULL UNIQUE,
    entry_id   text        NOT NULL COLLATE "C" REFERENCES entries (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    created_by text        NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    used_by    bytea,
    used_key   bytea
);

CREATE INDEX tokens_entry_id ON tokens (entry_id);

CREATE TABLE replays (
    digest     bytea       PRIMARY KEY, -- SHA-256 over issuer and jti
    expires_at timestamptz NOT NULL
);

CREATE INDEX replays_expires_at ON replays (expires_at);

CREATE TABLE generation (
    one          boolean     PRIMARY KEY DEFAULT true CHECK (one),
    number       bigint      NOT NULL,
    trust_domain text        NOT NULL,
    sequence     bigint      NOT NULL,
    published_at timestamptz NOT NULL,
    window_key   bytea       NOT NULL
);

-- The authorities of the current generation only: a key that was destroyed is gone.
CREATE TABLE authorities (
    position    integer     PRIMARY KEY,
    id          text        NOT NULL UNIQUE,
    role        text        NOT NULL,
    state       text        NOT NULL,
    parent_id   text        NOT NULL,
    certificate bytea       NOT NULL,
    key         bytea       NOT NULL,
    state_since timestamptz NOT NULL
);

CREATE TABLE audit (
    seq    bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    at     timestamptz NOT NULL,
    actor  text        NOT NULL,
    action text        NOT NULL,
    target text        NOT NULL,
    detail jsonb       NOT NULL
);
