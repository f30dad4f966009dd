package storetest

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/pando-ca/pando/store"
)

// Now is the time of the tests of this package: the middle of a UTC day.
func Now() time.Time { return time.Date(2031, time.March, 5, 12, 0, 0, 0, time.UTC) }

// NewSerial is a serial number for a certificate that expires at notAfter.
func NewSerial(notAfter time.Time) store.Serial {
	var s store.Serial
	binary.BigEndian.PutUint32(s[:], uint32(notAfter.Unix()))
	rand.Read(s[4:]) // never fails
	return s
}

// NewIssuance is an issuance of an hour that asks for nothing: a serial number, a key and a
// certificate of their own, and an identity that is given.
func NewIssuance(spiffeID string, now time.Time) *store.Issuance {
	notAfter := now.Add(time.Hour)
	i := &store.Issuance{Record: store.Record{
		Serial:       NewSerial(notAfter),
		SPIFFEID:     spiffeID,
		DNSNames:     []string{"a.example.org", "b.example.org"},
		Profile:      "workload",
		Issuer:       "0011223344556677",
		KeyAlgorithm: "ecdsa-p256",
		IssuedAt:     now,
		NotBefore:    now.Add(-time.Minute),
		NotAfter:     notAfter,
		Method:       "mtls",
		Caller:       spiffeID,
		Address:      "192.0.2.1",
		RequestID:    "5f0c2d1e",
		Certificate:  make([]byte, 600),
	}}
	rand.Read(i.KeyHash[:])
	rand.Read(i.Certificate)
	return i
}

// NewEntry is an entry for join tokens.
func NewEntry(id, spiffeID string) store.Entry {
	return store.Entry{
		ID: id, SPIFFEID: spiffeID, DNSNames: []string{"a.example.org"}, Profile: "workload",
		Method: "join_token", CreatedAt: Now(), CreatedBy: "spiffe://example.org/pando/admin/a",
	}
}

// NewToken is an unused join token of an entry, good for an hour from Now.
func NewToken(id, entryID string) store.Token {
	t := store.Token{
		ID: id, EntryID: entryID, CreatedAt: Now(), CreatedBy: "spiffe://example.org/pando/admin/a",
		ExpiresAt: Now().Add(time.Hour),
	}
	rand.Read(t.Hash[:])
	return t
}

// NewAudit is an audit row.
func NewAudit(action, target string) store.Audit {
	return store.Audit{
		At: Now(), Actor: "spiffe://example.org/pando/admin/a", Action: action, Target: target,
		Detail: map[string]string{"reason": "test"},
	}
}
