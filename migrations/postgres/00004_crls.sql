-- +goose Up

-- Of how many shards the CRL of what an authority signs consists. It stays as it is: the shard of a
-- certificate is in the certificate.
ALTER TABLE authorities ADD COLUMN crl_shards integer NOT NULL DEFAULT 1;

-- The current list of each shard. Not a reference: the rows of authorities are written anew with each
-- generation.
CREATE TABLE crls (
    authority   text        NOT NULL COLLATE "C",
    shard       integer     NOT NULL,
    shards      integer     NOT NULL, -- of how many it is one
    number      bigint      NOT NULL,
    this_update timestamptz NOT NULL,
    next_update timestamptz NOT NULL,
    entries     integer     NOT NULL,
    covers      bigint      NOT NULL, -- the last change that it knows of
    der         bytea       NOT NULL,
    PRIMARY KEY (authority, shard)
);

-- The revocations of a shard are those of some octets: its first random octet, modulo the number of
-- shards, is the shard of a serial number.
CREATE INDEX revocations_shard ON revocations (issuer, get_byte(serial, 4), seq);
