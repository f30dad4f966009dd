-- +goose Up

-- The end of the newest certificate of such an entry's SPIFFE ID is shown by itself, by the figures.
ALTER TABLE entries ADD COLUMN watch INTEGER NOT NULL DEFAULT 0;

CREATE INDEX entries_watch ON entries (spiffe_id) WHERE watch;
