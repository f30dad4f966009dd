package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/store"
)

// MaxBatch is the most certificates that one request may ask for.
const MaxBatch = 500

// Result is the answer to one request of a batch: exactly one field is set.
type Result struct {
	Issued *Issued
	Err    error
}

// IssueBatch answers each request as [Service.Issue] would, with one result per request in
// the same order; the records are written together. The error is for the batch as a whole.
// A credential that may be used once cannot ask for a batch.
func (s *Service) IssueBatch(ctx context.Context, caller policy.Caller, reqs []Request) ([]Result, error) {
	now := time.Now()
	if err := s.authorize(ctx, caller, OpSign); err != nil {
		return nil, err
	}
	switch {
	case len(reqs) == 0 || len(reqs) > MaxBatch:
		return nil, invalid("a batch holds 1 to %d requests, not %d", MaxBatch, len(reqs))
	case caller.Method == policy.MethodJoinToken, caller.TokenID != "" && len(reqs) > 1:
		return nil, permissionDenied("a credential that may be used once cannot ask for a batch")
	}
	if err := s.limit(caller, len(reqs), now); err != nil {
		return nil, err
	}
	return s.issueBatch(ctx, caller, reqs, now), nil
}

// pending is a request of a batch that has been signed and is not yet written.
type pending struct {
	index    int
	grant    *policy.Grant
	cert     *ca.Certificate
	issuance *store.Issuance
}

func (s *Service) issueBatch(ctx context.Context, caller policy.Caller, reqs []Request, now time.Time) []Result {
	results := make([]Result, len(reqs))
	trust := s.trust.Load()
	var signed []pending
	for i, req := range reqs {
		p, err := s.prepare(ctx, trust, caller, req, now)
		if err != nil {
			results[i].Err = err
			continue
		}
		p.index = i
		signed = append(signed, p)
	}
	if len(signed) == 0 {
		return results
	}
	issuances := make([]*store.Issuance, len(signed))
	for i := range signed {
		issuances[i] = signed[i].issuance
	}
	// The commit point of the whole batch.
	for i, err := range s.issuances.InsertAll(ctx, issuances, now) {
		p := signed[i]
		switch {
		case err == nil:
			results[p.index].Issued = s.released(trust, p.issuance, p.cert, p.grant)
		case errors.Is(err, store.ErrSerialTaken):
			// Nothing was written for this one: it takes the way of a lone request.
			results[p.index].Issued, results[p.index].Err = s.issue(ctx, caller, reqs[p.index], now)
		default:
			results[p.index].Err = fmt.Errorf("insert issued: %w", err)
		}
	}
	return results
}

// prepare does everything for one request of a batch up to the commit.
func (s *Service) prepare(ctx context.Context, trust *trust, caller policy.Caller, req Request, now time.Time) (pending, error) {
	csr, err := ca.ParseCSR(req.CSR)
	if err != nil {
		return pending{}, err
	}
	grant, err := s.decide(ctx, policy.Input{Caller: caller, CSR: csr, Want: req.Want, Set: trust.set, Now: now})
	if err != nil {
		return pending{}, err
	}
	cert, err := s.sign(trust, grant)
	if err != nil {
		return pending{}, err
	}
	issuance := newIssuance(caller, csr, grant, cert, now)
	issuance.RequestID = req.RequestID
	return pending{grant: grant, cert: cert, issuance: issuance}, nil
}
