-- +goose Up

-- Revocations are numbered in the order of their commits, so that a reader who has seen all up
-- to a number has missed none. revocation_number is the last number that was given.
CREATE TABLE revocation_number (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    seq INTEGER NOT NULL
) STRICT;

INSERT INTO revocation_number (one, seq) SELECT 1, count(*) FROM revocations;

ALTER TABLE revocations ADD COLUMN seq INTEGER NOT NULL DEFAULT 0;

UPDATE revocations
SET seq = n.seq
FROM (SELECT serial, row_number() OVER (ORDER BY revoked_at, serial) AS seq FROM revocations) AS n
WHERE n.serial = revocations.serial;

CREATE UNIQUE INDEX revocations_seq ON revocations (seq);
