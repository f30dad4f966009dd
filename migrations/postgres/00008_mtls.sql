-- +goose Up

-- Rules of mutual TLS by pattern of SPIFFE ID, a few thousand at most.
CREATE TABLE mtls_policies (
    pattern        text        NOT NULL COLLATE "C",
    name           text        NOT NULL COLLATE "C", -- of the listener; empty: all
    mode           text        NOT NULL COLLATE "C",
    plaintext_dial boolean     NOT NULL,
    version        bigint      NOT NULL, -- mtls_version as of the last change
    updated_at     timestamptz NOT NULL,
    updated_by     text        NOT NULL,
    PRIMARY KEY (pattern, name)
);

CREATE TABLE mtls_overrides (
    id         text        PRIMARY KEY COLLATE "C",
    pattern    text        NOT NULL COLLATE "C",
    name       text        NOT NULL COLLATE "C", -- of the listener or dialer; empty: all
    side       text        NOT NULL COLLATE "C",
    reason     text        NOT NULL,
    started_at timestamptz NOT NULL,
    started_by text        NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at   timestamptz, -- by hand
    ended_by   text        NOT NULL DEFAULT '',
    end_reason text        NOT NULL DEFAULT ''
);

CREATE INDEX mtls_overrides_expires_at ON mtls_overrides (expires_at);

-- A number that changes with every change of the two tables above.
CREATE TABLE mtls_version (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    version bigint  NOT NULL
);

INSERT INTO mtls_version (version) VALUES (0);

-- What each instance of a program has seen on each of its listeners, as it has told.
CREATE TABLE mtls_reports (
    spiffe_id      text        NOT NULL COLLATE "C",
    listener       text        NOT NULL COLLATE "C",
    instance       text        NOT NULL COLLATE "C",
    mode           text        NOT NULL COLLATE "C",
    source         text        NOT NULL COLLATE "C",
    observed_since timestamptz NOT NULL,
    last_mtls      timestamptz,
    last_plaintext timestamptz,
    reported_at    timestamptz NOT NULL,
    not_after      timestamptz NOT NULL, -- of the certificate that it was reported with
    PRIMARY KEY (spiffe_id, listener, instance)
);

CREATE INDEX mtls_reports_not_after ON mtls_reports (not_after);
