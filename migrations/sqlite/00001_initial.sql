-- +goose Up

-- Times are microseconds since 1970.

-- One row for each certificate.
CREATE TABLE certificates (
    serial        BLOB    NOT NULL PRIMARY KEY,
    spiffe_id     TEXT    NOT NULL,
    dns_names     TEXT    NOT NULL, -- separated by spaces
    profile       TEXT    NOT NULL,
    issuer        TEXT    NOT NULL,
    key_hash      BLOB    NOT NULL,
    key_algorithm TEXT    NOT NULL,
    issued_at     INTEGER NOT NULL,
    not_before    INTEGER NOT NULL,
    not_after     INTEGER NOT NULL,
    method        TEXT    NOT NULL,
    caller        TEXT    NOT NULL,
    address       TEXT    NOT NULL,
    entry_id      TEXT    NOT NULL, -- empty: none. Not a reference: the record outlives the entry
    replaces      BLOB    NOT NULL, -- empty: none
    request_id    TEXT    NOT NULL,
    certificate   BLOB    NOT NULL
) STRICT;

CREATE INDEX certificates_spiffe_id ON certificates (spiffe_id, not_after);
CREATE INDEX certificates_issuer ON certificates (issuer, not_after);
CREATE INDEX certificates_not_after ON certificates (not_after, serial);

-- A revocation keeps its own copy of what a CRL needs, so that it stands when the record of
-- its certificate is pruned.
CREATE TABLE revocations (
    serial     BLOB    NOT NULL PRIMARY KEY,
    issuer     TEXT    NOT NULL,
    not_after  INTEGER NOT NULL,
    revoked_at INTEGER NOT NULL,
    reason     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX revocations_not_after ON revocations (not_after, serial);

CREATE TABLE blocked_keys (
    key_hash   BLOB    NOT NULL PRIMARY KEY,
    blocked_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE entries (
    id         TEXT    NOT NULL PRIMARY KEY,
    spiffe_id  TEXT    NOT NULL,
    dns_names  TEXT    NOT NULL, -- JSON
    profile    TEXT    NOT NULL,
    method     TEXT    NOT NULL,
    issuer     TEXT    NOT NULL,
    claims     TEXT    NOT NULL, -- JSON
    created_at INTEGER NOT NULL,
    created_by TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX entries_spiffe_id ON entries (spiffe_id, id);

CREATE TABLE entry_version (
    one     INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL
) STRICT;

INSERT INTO entry_version (one, version) VALUES (1, 1);

CREATE TABLE tokens (
    id         TEXT    NOT NULL PRIMARY KEY,
    hash       BLOB    NOT NULL UNIQUE,
    entry_id   TEXT    NOT NULL REFERENCES entries (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    created_by TEXT    NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER,
    used_by    BLOB,
    used_key   BLOB
) STRICT, WITHOUT ROWID;

CREATE INDEX tokens_entry_id ON tokens (entry_id);

CREATE TABLE replays (
    digest     BLOB    NOT NULL PRIMARY KEY, -- SHA-256 over issuer and jti
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX replays_expires_at ON replays (expires_at);

CREATE TABLE generation (
    one          INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    number       INTEGER NOT NULL,
    trust_domain TEXT    NOT NULL,
    sequence     INTEGER NOT NULL,
    published_at INTEGER NOT NULL,
    window_key   BLOB    NOT NULL
) STRICT;

-- The authorities of the current generation only: a key that was destroyed is gone.
CREATE TABLE authorities (
    position    INTEGER NOT NULL PRIMARY KEY,
    id          TEXT    NOT NULL UNIQUE,
    role        TEXT    NOT NULL,
    state       TEXT    NOT NULL,
    parent_id   TEXT    NOT NULL,
    certificate BLOB    NOT NULL,
    key         BLOB    NOT NULL,
    state_since INTEGER NOT NULL
) STRICT;

CREATE TABLE audit (
    seq    INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    actor  TEXT    NOT NULL,
    action TEXT    NOT NULL,
    target TEXT    NOT NULL,
    detail TEXT    NOT NULL -- JSON
) STRICT;
