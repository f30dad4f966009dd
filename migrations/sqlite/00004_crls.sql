-- +goose Up

-- Of how many shards the CRL of what an authority signs consists. It stays as it is: the shard of a
-- certificate is in the certificate.
ALTER TABLE authorities ADD COLUMN crl_shards INTEGER NOT NULL DEFAULT 1;

-- The current list of each shard. Not a reference: the rows of authorities are written anew with each
-- generation.
CREATE TABLE crls (
    authority   TEXT    NOT NULL,
    shard       INTEGER NOT NULL,
    shards      INTEGER NOT NULL, -- of how many it is one
    number      INTEGER NOT NULL,
    this_update INTEGER NOT NULL,
    next_update INTEGER NOT NULL,
    entries     INTEGER NOT NULL,
    covers      INTEGER NOT NULL, -- the last change that it knows of
    der         BLOB    NOT NULL,
    PRIMARY KEY (authority, shard)
) STRICT;

-- The revocations of a shard are those of some octets: its first random octet, modulo the number of
-- shards, is the shard of a serial number.
CREATE INDEX revocations_shard ON revocations (issuer, hex(substr(serial, 5, 1)), seq);
