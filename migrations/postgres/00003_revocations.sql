-- +goose Up

-- Revocations are numbered in the order of their commits, so that a reader who has seen all up
-- to a number has missed none. revocation_number is the last number that was given.
CREATE TABLE revocation_number (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq bigint  NOT NULL
) WITH (fillfactor = 10); -- an update finds room beside the row

INSERT INTO revocation_number (seq) SELECT count(*) FROM revocations;

ALTER TABLE revocations ADD COLUMN seq bigint;

UPDATE revocations AS r
SET seq = n.seq
FROM (SELECT serial, row_number() OVER (ORDER BY revoked_at, serial) AS seq FROM revocations) AS n
WHERE n.serial = r.serial;

-- Without a default: whoever does not number revocations must not write any.
ALTER TABLE revocations ALTER COLUMN seq SET NOT NULL;

CREATE UNIQUE INDEX revocations_seq ON revocations (seq);
