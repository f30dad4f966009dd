-- +goose Up

-- Keys outside of the database that nobody holds: a row is written before its key is made, and
-- goes when a generation or a request comes to hold the key. A doomed one is to be destroyed.
CREATE TABLE key_intents (
    reference  BLOB    NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL,
    doomed     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A key that waits for its certificate, one for each role.
CREATE TABLE authority_requests (
    role       TEXT    NOT NULL PRIMARY KEY,
    key        BLOB    NOT NULL,
    csr        BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
