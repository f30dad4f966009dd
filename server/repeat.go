package server

import (
	"context"
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/store"
)

// repeatWindow is how long after a join token was consumed its answer can be asked for
// again: a client that lost the connection retries within seconds, and whoever finds the
// token later does not have the key.
const repeatWindow = 5 * time.Minute

// repeat answers a caller whose join token is spent. The answer was lost if the key is the
// one that the token enrolled, a moment ago: then the same certificate is given again, which
// is of use only to the holder of that key.
func (s *Service) repeat(ctx context.Context, caller policy.Caller, csr *ca.CSR, now time.Time) (*Issued, error) {
	spent := caller.Spent
	if subtle.ConstantTimeCompare(spent.Key[:], csr.KeyHash[:]) != 1 || now.Sub(spent.At) > repeatWindow {
		return nil, store.ErrTokenUsed
	}
	record, err := s.records.Record(ctx, store.Serial(spent.Serial))
	if err != nil {
		return nil, fmt.Errorf("record of the spent join token: %w", err)
	}
	switch {
	case record.Revoked != nil:
		return nil, store.ErrCallerRevoked
	case !now.Before(record.NotAfter):
		return nil, store.ErrTokenUsed
	}
	return s.trust.Load().issued(record, s.renewAt(record.Profile)), nil
}

// lostRace answers a caller whose join token was consumed between authentication and the
// commit, most likely by another try of the same caller.
func (s *Service) lostRace(ctx context.Context, caller policy.Caller, csr *ca.CSR, now time.Time) (*Issued, error) {
	token, ok, err := s.JoinToken(ctx, caller.TokenHash)
	if err != nil {
		return nil, err
	}
	if !ok || token.Spent.IsZero() {
		return nil, store.ErrTokenUsed
	}
	caller.Spent = token.Spent
	return s.repeat(ctx, caller, csr, now)
}

// renewAt is the profile's place of the renewal window; a profile that is gone has the default.
func (s *Service) renewAt(profile string) float64 {
	if p := s.profiles[profile]; p != nil {
		return p.RenewAt
	}
	return 0
}
