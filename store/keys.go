package store

import (
	"bytes"
	"time"
)

// TokenKeyPrefix begins each reference to a key that is in a token, outside of the database. Any
// other reference is a key itself, sealed: dropping it is destroying it.
const TokenKeyPrefix = "pkcs11:"

// KeyInToken reports whether a reference ([Authority].Key) is to a key outside of the database.
func KeyInToken(ref []byte) bool { return bytes.HasPrefix(ref, []byte(TokenKeyPrefix)) }

// AuthorityRequest is a key that was made for an authority whose certificate somebody else is to
// sign.
type AuthorityRequest struct {
	Role      string // intermediate
	Key       []byte // as [Authority].Key
	CSR       []byte // DER of the certification request (RFC 2986) for this key
	CreatedAt time.Time
	CreatedBy string // who, as in an audit row
}
