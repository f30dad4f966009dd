package door

import (
	"crypto/rand"
	"encoding/hex"
)

// RequestIDHeader is the name of the header (REST) and of the metadata (gRPC, lower case)
// that carries a request's identifier in both directions.
const RequestIDHeader = "X-Request-Id"

const (
	requestIDOctets    = 12
	minClientRequestID = 8
	maxClientRequestID = 64
)

// newRequestID draws an identifier: 96 random bits, so that no two requests of a
// deployment share one.
func newRequestID() string {
	var b [requestIDOctets]byte
	rand.Read(b[:]) // never fails; see crypto/rand
	return hex.EncodeToString(b[:])
}

// validRequestID reports whether a client's identifier may be used: long enough to tell
// requests apart, short, and of characters that mean nothing to a terminal, a log or SQL.
func validRequestID(id string) bool {
	if len(id) < minClientRequestID || len(id) > maxClientRequestID {
		return false
	}
	for i := range len(id) {
		c := id[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}
