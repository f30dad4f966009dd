package store

import "time"

// Entry is a rule that gives an authenticated caller an identity: which credential it
// matches, and the SPIFFE ID, DNS names and profile that it allows. An entry is never
// changed: it is deleted and another one is made, so that a certificate's record names
// exactly the rule that allowed it.
type Entry struct {
	ID       string
	SPIFFEID string // literal, or with {claim} in place of whole path segments
	DNSNames []string
	Profile  string

	Method string            // join_token or jwt
	Issuer string            // jwt: the issuer's configured name
	Claims map[string]string // jwt: JSON pointer (RFC 6901) or top-level name → required value

	PreRenew bool // its certificates are renewed by Pando, for the key that they have
	Watch    bool // the end of its newest certificate is shown by itself; see [Identities].Watched

	CreatedAt time.Time
	CreatedBy string
}

// EntryFilter selects entries. Zero fields select everything.
type EntryFilter struct {
	SPIFFEID string
	Method   string
	PreRenew bool   // only those whose certificates are renewed by Pando
	Watch    bool   // only those that are watched
	After    string // ID of the last entry of the previous page
	Limit    int    // required, 1 to 1000
}

// Token is a join token: a secret that enrols one workload, once, under one entry. Only
// the SHA-256 of the secret is kept.
type Token struct {
	ID        string
	Hash      [32]byte
	EntryID   string
	CreatedAt time.Time
	CreatedBy string
	ExpiresAt time.Time

	// What consumed it; zero while it is unused.
	UsedAt  time.Time
	UsedBy  Serial
	UsedKey [32]byte // KeyHash of the certificate that consumed it
}

// Used reports whether the token has been consumed.
func (t *Token) Used() bool { return !t.UsedAt.IsZero() }
