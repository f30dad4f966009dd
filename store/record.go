package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Serial is the serial number of a certificate as 19 big-endian octets. The first four are
// NotAfter in seconds since 1 January 1970 UTC; the other fifteen are random. The time leads
// a look-up by serial number to the one partition that can hold the row, makes a unique index
// per partition a unique index over all of them, and lets that index grow at one end.
// The zero value means "none".
type Serial [19]byte

// Day is the UTC day of NotAfter, counted since 1 January 1970.
func (s Serial) Day() int { return dayOf(s.NotAfter()) }

// NotAfter is the end of the certificate, to the second.
func (s Serial) NotAfter() time.Time {
	return time.Unix(int64(binary.BigEndian.Uint32(s[:])), 0).UTC()
}

// IsZero reports whether s names no certificate.
func (s Serial) IsZero() bool { return s == Serial{} }

// Record is the durable row of one issued certificate: who asked, by which method and from
// where, for which identity, under which profile and issuer, and the certificate itself.
// A record never changes; revocation is a row of its own ([Revocation]). Times are kept to
// the microsecond and come back in UTC; an empty list comes back as nil.
type Record struct {
	Serial       Serial
	SPIFFEID     string
	DNSNames     []string
	Profile      string
	Issuer       string   // authority ID
	KeyHash      [32]byte // SHA-256 of the SubjectPublicKeyInfo
	KeyAlgorithm string
	IssuedAt     time.Time
	NotBefore    time.Time
	NotAfter     time.Time

	Method    string // how the caller was authenticated: join_token, jwt, mtls, internal, pre_renew
	Caller    string // who the caller was: a SPIFFE ID, issuer and subject, a token ID
	Address   string // network address of the caller, without the port
	EntryID   string // the entry that allowed it; empty when an administrator did, or Pando itself
	Replaces  Serial // the certificate that this one renews; zero when it renews none
	RequestID string

	Certificate []byte // DER

	// Revoked is filled when a record is read, nil while the certificate is not revoked.
	Revoked *Revocation
}

// Issuance is a record to insert, and the conditions that must hold in the transaction
// that inserts it. Zero values ask for nothing. At most one of TokenHash and Replay is
// set: a caller shows one credential.
type Issuance struct {
	Record

	CallerSerial Serial   // must not be revoked
	TokenHash    [32]byte // SHA-256 of the join token to consume, which is bound to EntryID
	Replay       Replay   // JWT to consume
}

// Validate returns an error that wraps [ErrInvalid] when no store can keep the issuance:
// its serial number does not lead with NotAfter, it asks for two one-use
// credentials, or a text in it holds NUL or is not UTF-8. The stores call it on each row, so
// that one row that cannot be kept does not fail those that were batched with it.
func (i *Issuance) Validate() error {
	switch {
	case i.Serial.NotAfter().Unix() != i.NotAfter.Unix():
		return fmt.Errorf("serial number does not lead with NotAfter: %w", ErrInvalid)
	case i.HasToken() && !i.Replay.IsZero():
		return fmt.Errorf("issuance consumes a join token and a JWT: %w", ErrInvalid)
	}
	for _, text := range [...]string{
		i.SPIFFEID, i.Profile, i.Issuer, i.KeyAlgorithm, i.Method, i.Caller,
		i.Address, i.EntryID, i.RequestID,
	} {
		if strings.IndexByte(text, 0) >= 0 || !utf8.ValidString(text) {
			return fmt.Errorf("text holds NUL or is not UTF-8: %w", ErrInvalid)
		}
	}
	for _, name := range i.DNSNames {
		if name == "" || strings.ContainsAny(name, " \x00") || !utf8.ValidString(name) {
			return fmt.Errorf("not a DNS name: %w", ErrInvalid)
		}
	}
	return nil
}

// dayOf is the UTC day of t, counted since 1 January 1970.
func dayOf(t time.Time) int { return int(t.Unix() / (24 * 60 * 60)) }

// HasToken reports whether the issuance consumes a join token.
func (i *Issuance) HasToken() bool { return i.TokenHash != [32]byte{} }

// Replay identifies a JWT that may be used once. It is remembered until ExpiresAt, after
// which the token is refused for its age.
type Replay struct {
	Issuer    string
	ID        string // jti
	ExpiresAt time.Time
}

// Digest is what a store keeps of a used JWT: 32 octets, however long the issuer and the
// jti are that somebody chose.
func (r Replay) Digest() [32]byte {
	h := sha256.New()
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(r.Issuer)))
	h.Write(length[:]) // so that no two pairs share their concatenation
	io.WriteString(h, r.Issuer)
	io.WriteString(h, r.ID)
	return [32]byte(h.Sum(nil))
}

// IsZero reports whether there is no JWT to consume.
func (r Replay) IsZero() bool { return r.ID == "" }

// State is what became of a certificate, as of a moment.
type State string

// States of a certificate. A revoked one stays revoked when it expires.
const (
	StateLive    State = "live"    // neither revoked nor past NotAfter
	StateExpired State = "expired" // past NotAfter and not revoked
	StateRevoked State = "revoked"
)

// RecordFilter selects records. Zero fields select everything.
type RecordFilter struct {
	SPIFFEID      string
	Issuer        string
	State         State
	ExpiresBefore time.Time

	Now   time.Time // the moment that State refers to; required with State
	After Cursor    // the last record of the previous page
	Limit int       // required, 1 to 1000
}

// Cursor is a place in the order of a listing: latest NotAfter first, then by serial.
type Cursor struct {
	NotAfter time.Time
	Serial   Serial
}

// IsZero reports whether c is the beginning of a listing.
func (c Cursor) IsZero() bool { return c.Serial.IsZero() }
