package store

import "time"

// Identity is a SPIFFE ID and what its newest certificate, the one that ends last, says of it.
type Identity struct {
	SPIFFEID  string
	Serial    Serial
	Profile   string
	Issuer    string // authority ID
	NotBefore time.Time
	NotAfter  time.Time
	Revoked   bool
}

// IdentityFilter selects identities.
type IdentityFilter struct {
	EndsAfter time.Time // only those whose newest certificate ends after this; required
	After     string    // SPIFFE ID of the last identity of the previous page
	Limit     int       // required, 1 to 10 000
}

// LiveCount is how many certificates of a profile and an issuer are unexpired and not revoked.
type LiveCount struct {
	Profile      string
	Issuer       string // authority ID
	Certificates int
	Issued       int // of these, those that were issued in the last [RecentlyIssued]
}

// RecentlyIssued is over how long a time issuance is counted: long enough that a small fleet is seen
// to renew at all, and short enough for the number to be about now.
const RecentlyIssued = time.Minute

// Holding is an unexpired certificate, and whether its holder has been given it by
// [PreRenewals].Collect.
type Holding struct {
	Record
	Collected bool
}

// HoldingFilter selects unexpired certificates by a range of SPIFFE IDs, in the order of their
// octets.
type HoldingFilter struct {
	First, Last string    // SPIFFE IDs, both included; required
	Now         time.Time // unexpired at; required
	After       Cursor    // under First: the last certificate of the previous page
	Limit       int       // required, 1 to 1000
}
