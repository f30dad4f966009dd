package policy

import (
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/spiffeid"
)

// Method is how a caller was authenticated.
type Method string

// The methods of authentication.
const (
	MethodJoinToken Method = "join_token"
	MethodJWT       Method = "jwt"
	MethodPeer      Method = "mtls"     // a client certificate of this CA
	MethodInternal  Method = "internal" // Pando itself, for its own certificates

	// MethodPreRenew is Pando itself, for a holder who only downloads. Nobody can authenticate
	// by it.
	MethodPreRenew Method = "pre_renew"
)

// Role is what an administrator may do. Each role may do what the one before it may.
type Role string

// The roles. Workloads have none.
const (
	RoleNone     Role = ""
	RoleViewer   Role = "viewer"   // read
	RoleOperator Role = "operator" // and change entries, make tokens, sign
	RoleAdmin    Role = "admin"    // and touch what belongs to Pando itself
)

// rank orders the roles; an unknown role ranks as none.
func (r Role) rank() int {
	switch r {
	case RoleViewer:
		return 1
	case RoleOperator:
		return 2
	case RoleAdmin:
		return 3
	}
	return 0
}

// AtLeast reports whether r includes what least may do. Nothing but RoleNone is included
// in RoleNone, and an unknown role includes nothing.
func (r Role) AtLeast(least Role) bool { return r.rank() >= least.rank() && least.rank() > 0 }

// Valid reports whether r is one of the roles that an administrator can have.
func (r Role) Valid() bool { return r.rank() > 0 }

// Caller is who a request was authenticated as, and by which method. Packages outside
// server/auth take it as proven.
type Caller struct {
	Method  Method
	Subject string // printable and stable: a SPIFFE ID, "issuer subject", or a token's ID
	Address string // network address without the port
	Role    Role

	// MethodJoinToken
	TokenHash [32]byte
	EntryID   string // the entry that the token is bound to
	Spent     Spent  // what the token was consumed by; zero while it is unused

	// MethodJWT
	Issuer    string // configured name of the issuer
	Claims    map[string]any
	TokenID   string // jti; empty when the issuer's tokens may be used more than once
	ExpiresAt time.Time

	// MethodPeer; MethodPreRenew, where it is the certificate that is renewed
	ID          spiffeid.ID
	Serial      ca.Serial
	Fingerprint [32]byte // MethodPeer: SHA-256 of the certificate
}

// Spent says what consumed a join token, so that a lost answer can be given once more.
type Spent struct {
	At     time.Time
	Serial ca.Serial
	Key    ca.KeyHash
}

// IsZero reports whether the token is unused.
func (s Spent) IsZero() bool { return s.At.IsZero() }

// JoinToken is what authentication needs to know of a join token.
type JoinToken struct {
	ID        string
	EntryID   string
	ExpiresAt time.Time
	Spent     Spent
}

// Peer is the holder of a verified client certificate.
type Peer struct {
	ID          spiffeid.ID
	Serial      ca.Serial
	Fingerprint [32]byte // SHA-256 of the certificate
	Role        Role     // by configuration; RoleNone for workloads
}
