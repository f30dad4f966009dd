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
	if err := s.pace(ctx, caller, now); err != nil {
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

// issueBatch answers what it can. What the current generation refuses because the issuer was
// replaced meanwhile is signed anew under the next.
func (s *Service) issueBatch(ctx context.Context, caller policy.Caller, reqs []Request, now time.Time) []Result {
	results := make([]Result, len(reqs))
	todo := make([]int, len(reqs)) // indices
	for i := range todo {
		todo[i] = i
	}
	for range maxGenerations {
		trust := s.trust.Load()
		todo = s.batchUnder(ctx, trust, batch{caller, reqs, now, results}, todo)
		if len(todo) == 0 || s.catchUp(ctx, trust.set.Generation()) != nil {
			break
		}
	}
	return results
}

// batch is the requests of a batch, and where their results go.
type batch struct {
	caller  policy.Caller
	reqs    []Request
	now     time.Time
	results []Result
}

// batchUnder answers the requests with the given indices under one generation. It returns the
// indices of those whose issuer is inactive.
func (s *Service) batchUnder(ctx context.Context, trust *trust, b batch, todo []int) (stale []int) {
	signed := s.signAll(ctx, trust, b, todo)
	if len(signed) == 0 {
		return nil
	}
	issuances := make([]*store.Issuance, len(signed))
	for i := range signed {
		issuances[i] = signed[i].issuance
	}
	// The commit point of the whole batch.
	for i, err := range s.insertAll(ctx, issuances, b.now) {
		p := signed[i]
		result := &b.results[p.index]
		*result = Result{}
		switch {
		case err == nil:
			result.Issued = s.released(trust, p.issuance, p.cert, p.grant)
		case errors.Is(err, store.ErrSerialTaken):
			// Nothing was written for this one: it takes the way of a lone request.
			result.Issued, result.Err = s.issue(ctx, b.caller, b.reqs[p.index], b.now)
		default:
			result.Err = fmt.Errorf("insert issued: %w", err)
			if errors.Is(err, store.ErrIssuerInactive) {
				stale = append(stale, p.index)
			}
		}
	}
	return stale
}

// insertAll makes records durable together.
func (s *Service) insertAll(ctx context.Context, issuances []*store.Issuance, now time.Time) []error {
	ctx, step := BeginStep(ctx, "store")
	step.Count("pando.requests", len(issuances))
	errs := s.issuances.InsertAll(ctx, issuances, now)
	step.End(nil) // each has a result of its own
	return errs
}

// signAll signs what may be signed of the requests with the given indices. In a trace it is one
// step: hundreds of spans would say less.
func (s *Service) signAll(ctx context.Context, trust *trust, b batch, todo []int) []pending {
	ctx, step := BeginStep(ctx, "sign")
	defer step.End(nil)
	step.Note("pando.issuer", trust.set.Issuer().ID())
	step.Count("pando.requests", len(todo))
	ctx = withoutSteps(ctx)
	var signed []pending
	for _, i := range todo {
		p, err := s.prepare(ctx, trust, b, i)
		if err != nil {
			b.results[i] = Result{Err: err}
			continue
		}
		signed = append(signed, p)
	}
	return signed
}

// prepare does everything for one request of a batch up to the commit.
func (s *Service) prepare(ctx context.Context, trust *trust, b batch, index int) (pending, error) {
	req := b.reqs[index]
	csr, err := ca.ParseCSR(req.CSR)
	if err != nil {
		return pending{}, err
	}
	grant, err := s.decide(ctx, policy.Input{Caller: b.caller, CSR: csr, Want: req.Want, Set: trust.set, Now: b.now})
	if err != nil {
		return pending{}, err
	}
	cert, err := s.sign(ctx, trust, grant)
	if err != nil {
		return pending{}, err
	}
	issuance := newIssuance(b.caller, csr, grant, cert, b.now)
	issuance.RequestID = req.RequestID
	return pending{index: index, grant: grant, cert: cert, issuance: issuance}, nil
}
