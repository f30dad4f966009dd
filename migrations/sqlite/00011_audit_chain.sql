-- +goose Up

-- The place of a row in the chain, and its hash. Rows of a release that knows no chain have
-- neither; then the link of the row that vouches for them. See package store.
ALTER TABLE audit ADD COLUMN link INTEGER;
ALTER TABLE audit ADD COLUMN hash BLOB;

CREATE UNIQUE INDEX audit_link ON audit (link) WHERE hash IS NOT NULL;

-- The rows that nothing vouches for yet.
CREATE INDEX audit_loose ON audit (seq) WHERE link IS NULL;
