-- +goose Up

-- Keys outside of the database that nobody holds: a row is written before its key is made, and
-- goes when a generation or a request comes to hold the key. A doomed one is to be destroyed.
CREATE TABLE key_intents (
    reference  bytea       PRIMARY KEY,
    created_at timestamptz NOT NULL,
    doomed     boolean     NOT NULL
);

-- A key that waits for its certificate, one for each role.
CREATE TABLE authority_requests (
    role       text        PRIMARY KEY,
    key        bytea       NOT NULL,
    csr        bytea       NOT NULL,
    created_at timestamptz NOT NULL,
    created_by text        NOT NULL
);
