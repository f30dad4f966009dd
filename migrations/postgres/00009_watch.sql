-- +goose Up

-- The end of the newest certificate of such an entry's SPIFFE ID is shown by itself, by the figures.
ALTER TABLE entries ADD COLUMN watch boolean NOT NULL DEFAULT false;

CREATE INDEX entries_watch ON entries (spiffe_id) WHERE watch;
