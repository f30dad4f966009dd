package server

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/store"
)

// newIssuance is the row of a signed certificate, with the conditions under which it may
// be written.
func newIssuance(caller policy.Caller, csr *ca.CSR, grant *policy.Grant, cert *ca.Certificate, now time.Time) *store.Issuance {
	i := &store.Issuance{
		Record: store.Record{
			Serial:       store.Serial(cert.Serial),
			SPIFFEID:     grant.Leaf.ID.String(),
			DNSNames:     grant.Leaf.DNSNames,
			Profile:      grant.Profile.Name,
			Issuer:       cert.Issuer,
			KeyHash:      csr.KeyHash,
			KeyAlgorithm: string(csr.KeyAlgorithm),
			IssuedAt:     now,
			NotBefore:    grant.Leaf.NotBefore,
			NotAfter:     grant.Leaf.NotAfter,
			Method:       string(caller.Method),
			Caller:       caller.Subject,
			Address:      caller.Address,
			EntryID:      grant.EntryID,
			Replaces:     store.Serial(grant.Replaces),
			Certificate:  cert.Raw,
		},
		CallerSerial: store.Serial(caller.Serial),
	}
	switch caller.Method {
	case policy.MethodInternal: // which asks no certificate whether it may go on
		i.Replaces, i.CallerSerial = store.Serial(caller.Serial), store.Serial{}
	case policy.MethodJoinToken:
		i.TokenHash = caller.TokenHash
	case policy.MethodJWT:
		i.Replay = store.Replay{Issuer: caller.Issuer, ID: caller.TokenID, ExpiresAt: caller.ExpiresAt}
	}
	return i
}

// holding is what a recorded certificate may be renewed to, and when. Immutable.
type holding struct {
	current   policy.Current
	issuer    string
	notBefore time.Time
	notAfter  time.Time
	digest    [32]byte // SHA-256 of the certificate
}

// errForged refuses a certificate that has the serial number of another one. This CA gives a
// serial number once, so that it was made by somebody else who has the key of an issuer.
var errForged error = permissionDenied("the presented certificate is not the one that was recorded under its serial number")

func newHolding(r *store.Record) (*holding, error) {
	id, err := spiffeid.Parse(r.SPIFFEID)
	if err != nil {
		return nil, fmt.Errorf("record %s: %w", ca.Serial(r.Serial), err)
	}
	return &holding{
		current: policy.Current{ID: id, DNSNames: r.DNSNames, Profile: r.Profile, EntryID: r.EntryID},
		issuer:  r.Issuer, notBefore: r.NotBefore, notAfter: r.NotAfter, digest: sha256.Sum256(r.Certificate),
	}, nil
}
