package store

import "time"

// CRL is the certificate revocation list of an authority, or of one shard of what it signs, as
// it is published now.
type CRL struct {
	Authority  string
	Shard      int    // from 0
	Shards     int    // of how many it is one
	Number     uint64 // of the list; increases strictly
	ThisUpdate time.Time
	NextUpdate time.Time
	Entries    int
	DER        []byte // empty in a listing

	// Covers says which changes the list knows of: the highest number of a revocation of its shard
	// or, of the list of a root, the number of the generation.
	Covers uint64
	// Changed is set in a listing: there is a revocation of the shard that the list does not cover.
	Changed bool
}

// ShardQuery selects the revocations of one shard of an authority: those whose serial number has a
// fifth octet that is Shard modulo Shards.
type ShardQuery struct {
	Authority     string
	Shard, Shards int
}
