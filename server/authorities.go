package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
)

// Rotation tells how far the rotation has come.
type Rotation interface {
	// Status tells of each authority of the current generation, in the order of the generation.
	Status(ctx context.Context, now time.Time) ([]AuthorityStatus, error)
}

// AuthorityStatus is an authority and where it stands in its life.
type AuthorityStatus struct {
	ID          string
	Role        ca.Role
	State       ca.State
	ParentID    string // empty for a root
	NotBefore   time.Time
	NotAfter    time.Time
	StateSince  time.Time // zero: not known
	Certificate []byte    // DER
	Sequence    uint64    // of a root: that of the first bundle that held it

	// What its next step waits for. All are zero when it waits for nothing.
	Waiting   string    // a sentence
	OpensAt   time.Time // when the step is taken at the latest; zero: not known
	Live      int       // live certificates that it waits for
	Followers int       // live certificates whose holders follow the bundle
	Behind    int       // those of the followers that have not acknowledged it

	// Its CRL, as the replica that answers has seen it last: of several shards the earliest times,
	// and all entries. All are zero while it publishes none, or not all shards yet.
	CRLThisUpdate time.Time
	CRLNextUpdate time.Time
	CRLEntries    int
}

// Fingerprint is the SHA-256 of the certificate in hex.
func (a *AuthorityStatus) Fingerprint() string {
	sum := sha256.Sum256(a.Certificate)
	return hex.EncodeToString(sum[:])
}

// PEM is the certificate in PEM.
func (a *AuthorityStatus) PEM() string { return encodePEM(a.Certificate) }

// Authorities tells of every authority.
func (s *Service) Authorities(ctx context.Context, caller policy.Caller) ([]AuthorityStatus, error) {
	if err := s.authorize(ctx, caller, OpListAuthorities); err != nil {
		return nil, err
	}
	return s.authorities(ctx, time.Now())
}

// Authority tells of one authority.
func (s *Service) Authority(ctx context.Context, caller policy.Caller, id string) (*AuthorityStatus, error) {
	if err := s.authorize(ctx, caller, OpGetAuthority); err != nil {
		return nil, err
	}
	all, err := s.authorities(ctx, time.Now())
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].ID == id {
			return &all[i], nil
		}
	}
	return nil, notFound("there is no such authority")
}

func (s *Service) authorities(ctx context.Context, now time.Time) ([]AuthorityStatus, error) {
	if s.rotation != nil {
		all, err := s.rotation.Status(ctx, now)
		if err != nil {
			return nil, fmt.Errorf("status of the authorities: %w", err)
		}
		return all, nil
	}
	var all []AuthorityStatus
	for _, a := range s.Set().Authorities() {
		all = append(all, AuthorityStatus{
			ID: a.ID(), Role: a.Role(), State: a.State(), ParentID: a.ParentID(),
			NotBefore: a.Certificate().NotBefore, NotAfter: a.Certificate().NotAfter, Certificate: a.Certificate().Raw,
		})
	}
	return all, nil
}
