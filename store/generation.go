package store

import "time"

// Generation is the numbered, immutable set of all authorities and their states. It is
// changed only by compare-and-swap on Number.
type Generation struct {
	Number      uint64 // 1 for the first; 0 means that there is none
	TrustDomain string
	Sequence    uint64 // of the bundle; changes exactly when the set of published roots does
	PublishedAt time.Time
	WindowKey   []byte // sealed; the key that places renewal windows, equal on every replica
	Authorities []Authority
}

// Authority is the row of one root or intermediate.
type Authority struct {
	ID          string // short, stable, printable: the start of the certificate's SHA-256 in hex
	Role        string // root or intermediate
	State       string // prepared, active, retiring, retired, tainted, revoked
	ParentID    string // the authority that signed it; empty for a root
	Certificate []byte // DER
	Key         []byte // reference for ca/keystore: a sealed key or a URI; never a key in the clear
	StateSince  time.Time
}

// Audit is the row that every change of configuration or state leaves, in the same
// transaction as the change.
type Audit struct {
	Seq    int64 // set by the store
	At     time.Time
	Actor  string            // who: a SPIFFE ID, issuer and subject, or "pando init"
	Action string            // what: entry.create, token.create, generation.replace, …
	Target string            // to what: an ID
	Detail map[string]string // more, never a secret
}
