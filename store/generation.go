package store

import (
	"slices"
	"strings"
	"time"
)

// Generation is the numbered, immutable set of all authorities and their states. It is
// changed only by compare-and-swap on Number.
type Generation struct {
	Number      uint64 // 1 for the first; 0 means that there is none
	TrustDomain string
	Sequence    uint64 // of the bundle; changes exactly when the set of published roots does
	PublishedAt time.Time
	WindowKey   []byte // sealed; the key that places renewal windows, equal on every replica
	Authorities []Authority
	Incidents   []Incident // the open ones, oldest first
}

// RevokedIDs is the IDs of the revoked authorities, sorted and separated by commas. The stores
// tell by it whether these change.
func (g *Generation) RevokedIDs() string {
	var ids []string
	for _, a := range g.Authorities {
		if a.State == "revoked" {
			ids = append(ids, a.ID)
		}
	}
	slices.Sort(ids)
	return strings.Join(ids, ",")
}

// Authority is the row of one root or intermediate.
type Authority struct {
	ID          string // short, stable, printable: the start of the certificate's SHA-256 in hex
	Role        string // root or intermediate
	State       string // prepared, active, retiring, retired, tainted, revoked
	ParentID    string // the authority that signed it; empty for a root
	Certificate []byte // DER
	Key         []byte // reference for ca/keystore: a sealed key or a URI; never a key in the clear. Empty once destroyed
	StateSince  time.Time
	CRLShards   int // of how many shards the CRL of what it signs consists; fixed when it is made, 0 and 1 mean one

	// Roots only. CrossCertificate is this root's key certified by the root that was active
	// when it was prepared, CrossParentID; chains carry it while that root is retiring or
	// tainted.
	CrossParentID    string
	CrossCertificate []byte // DER; empty: there was no root before
	Sequence         uint64 // of the first bundle that held it
}

// Fence ties a write to a lease: it happens only while that lease has this term. The zero
// Fence ties it to nothing.
type Fence struct {
	Lease string
	Term  uint64
}

// Lease says who leads. It is judged by the clock of the database, so that the clocks of
// replicas do not matter, and each change of hands has a higher term.
type Lease struct {
	Name      string
	Holder    string
	Term      uint64
	ExpiresAt time.Time // by the clock of the database
}

// Fence is what writes under the lease carry.
func (l Lease) Fence() Fence { return Fence{l.Name, l.Term} }
