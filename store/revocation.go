package store

import (
	"maps"
	"strconv"
	"time"
)

// Revocation withdraws one certificate before it expires.
type Revocation struct {
	Serial    Serial
	Issuer    string
	NotAfter  time.Time
	RevokedAt time.Time
	Reason    int    // CRLReason, RFC 5280 section 5.3.1
	Seq       uint64 // its number; filled by [RevocationLog] and [Revoked] only
}

// ReasonKeyCompromise is the CRLReason of a certificate whose key is known to somebody else
// (RFC 5280, section 5.3.1). Whatever is revoked with it has its key blocked in the same
// transaction.
const ReasonKeyCompromise = 1

// Selector selects certificates by what they have in common. Exactly one field is set.
type Selector struct {
	SPIFFEID string
	Issuer   string   // authority ID
	KeyHash  [32]byte // SHA-256 of the SubjectPublicKeyInfo
}

// BulkRevocation revokes the certificates that a selector selects, a part at a time.
type BulkRevocation struct {
	Selector
	At     time.Time // certificates that have expired by then are left alone
	Reason int
	After  Cursor // where the part before has ended; zero: this is the first
	Audit  Audit  // written with each part that revokes something, with their number in Detail
}

// Selected is how much a selector selects.
type Selected struct {
	Certificates int
	Identities   int // SPIFFE IDs in them
}

// Counted is the audit row of a part in which n certificates were revoked.
func (r *BulkRevocation) Counted(n int) Audit {
	audit := r.Audit
	audit.Detail = map[string]string{DetailCertificates: strconv.Itoa(n)}
	maps.Copy(audit.Detail, r.Audit.Detail)
	return audit
}

// DetailCertificates is the key in [Audit].Detail of how many certificates a bulk revocation
// has revoked.
const DetailCertificates = "certificates"
