-- +goose Up

-- Rules of mutual TLS by pattern of SPIFFE ID, a few thousand at most.
CREATE TABLE mtls_policies (
    pattern        TEXT    NOT NULL,
    name           TEXT    NOT NULL, -- of the listener; empty: all
    mode           TEXT    NOT NULL,
    plaintext_dial INTEGER NOT NULL,
    version        INTEGER NOT NULL, -- mtls_version as of the last change
    updated_at     INTEGER NOT NULL,
    updated_by     TEXT    NOT NULL,
    PRIMARY KEY (pattern, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE mtls_overrides (
    id         TEXT    NOT NULL PRIMARY KEY,
    pattern    TEXT    NOT NULL,
    name       TEXT    NOT NULL, -- of the listener or dialer; empty: all
    side       TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    started_at INTEGER NOT NULL,
    started_by TEXT    NOT NULL,
    expires_at INTEGER NOT NULL,
    ended_at   INTEGER, -- by hand
    ended_by   TEXT    NOT NULL DEFAULT '',
    end_reason TEXT    NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

CREATE INDEX mtls_overrides_expires_at ON mtls_overrides (expires_at);

-- A number that changes with every change of the two tables above.
CREATE TABLE mtls_version (
    one     INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    version INTEGER NOT NULL
) STRICT;

INSERT INTO mtls_version (one, version) VALUES (1, 0);

-- What each instance of a program has seen on each of its listeners, as it has told.
CREATE TABLE mtls_reports (
    spiffe_id      TEXT    NOT NULL,
    listener       TEXT    NOT NULL,
    instance       TEXT    NOT NULL,
    mode           TEXT    NOT NULL,
    source         TEXT    NOT NULL,
    observed_since INTEGER NOT NULL,
    last_mtls      INTEGER,
    last_plaintext INTEGER,
    reported_at    INTEGER NOT NULL,
    not_after      INTEGER NOT NULL, -- of the certificate that it was reported with
    PRIMARY KEY (spiffe_id, listener, instance)
) STRICT, WITHOUT ROWID;

CREATE INDEX mtls_reports_not_after ON mtls_reports (not_after);
