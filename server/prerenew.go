package server

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"iter"
	"time"

	"golang.org/x/time/rate"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/store"
)

const (
	// preRenewBatch is how many certificates are signed for one commit.
	preRenewBatch = 100
	// holdingPage is how many certificates are looked at at once.
	holdingPage = 1000
	// defaultPreRenewRate keeps pre-renewal to a small part of what a replica can sign.
	defaultPreRenewRate = 100
	// preRenewer is the caller in the records of what it signs.
	preRenewer = "pando pre-renew"
)

// newPreRenewLimit is the pace of pre-renewal, in certificates per second; 0: the default.
func newPreRenewLimit(perSecond float64) *rate.Limiter {
	if perSecond <= 0 {
		perSecond = defaultPreRenewRate
	}
	return rate.NewLimiter(rate.Limit(perSecond), preRenewBatch)
}

// PreRenew signs a successor for each certificate that was issued under an entry with PreRenew
// and is due at now: unexpired, not revoked, not succeeded by another one, known to be in the
// hands of its holder, and in its renewal window. The successor has the same key, names, profile
// and lifetime, goes through policy again, and is recorded under the conditions of a renewal.
//
// It keeps nothing between two runs, nor between two certificates: what was signed has a
// successor and is not due any more. A run that is cut off is gone on with by the next, and two at
// once cost some certificates that nobody needs. It returns the first error of the store;
// certificates that are refused are counted and logged.
func (s *Service) PreRenew(ctx context.Context, now time.Time) error {
	if s.holdings == nil {
		return nil
	}
	ctx = withoutSteps(ctx) // a run that an administrator asks for is of a request
	run := &preRenewal{service: s, now: now}
	err := run.all(ctx)
	if run.signed > 0 {
		s.log.InfoContext(ctx, "certificates renewed for their holders", "count", run.signed)
	}
	if run.refused > 0 {
		s.log.WarnContext(ctx, "certificates not renewed for their holders", "count", run.refused, "first", run.refusal)
	}
	return err
}

// preRenewal is one run.
type preRenewal struct {
	service *Service
	now     time.Time
	batch   []succession // due, and not signed yet

	signed, refused int
	refusal         error // the first
}

// succession is a certificate that is to be renewed, and the entry that asks for it.
type succession struct {
	entry *policy.Entry
	old   store.Record
}

func (r *preRenewal) all(ctx context.Context) error {
	filter := store.EntryFilter{PreRenew: true, Limit: entryPage}
	for {
		rows, err := r.service.store.Entries(ctx, filter)
		if err != nil {
			return fmt.Errorf("read entries: %w", err)
		}
		for i := range rows {
			if err := r.entry(ctx, &rows[i]); err != nil {
				return err
			}
		}
		if len(rows) < filter.Limit {
			return r.flush(ctx)
		}
		filter.After = rows[len(rows)-1].ID
	}
}

// entry renews what is due under one entry, up to what is left in the batch.
func (r *preRenewal) entry(ctx context.Context, row *store.Entry) error {
	entry, err := parseEntry(row, r.service.Set().TrustDomain())
	if err != nil {
		r.refuse(err)
		return nil
	}
	first, last := entry.Span()
	for held, err := range r.service.held(ctx, store.HoldingFilter{First: first, Last: last, Now: r.now}) {
		if err != nil {
			return err
		}
		for _, h := range heads(r.service.Set(), held) {
			if h.EntryID != row.ID || r.now.Before(r.service.window(&h.Record).Start) {
				continue
			}
			r.batch = append(r.batch, succession{entry, h.Record})
			if len(r.batch) < preRenewBatch {
				continue
			}
			if err := r.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// held yields the unexpired certificates of one SPIFFE ID after the other, ordered by NotAfter.
// What it yields is valid until the next one.
func (s *Service) held(ctx context.Context, filter store.HoldingFilter) iter.Seq2[[]store.Holding, error] {
	filter.Limit = holdingPage
	return func(yield func([]store.Holding, error) bool) {
		var of []store.Holding
		for {
			page, err := s.holdings.Holdings(ctx, filter)
			if err != nil {
				yield(nil, fmt.Errorf("list holdings: %w", err))
				return
			}
			for _, h := range page {
				if len(of) > 0 && of[0].SPIFFEID != h.SPIFFEID {
					if !yield(of, nil) {
						return
					}
					of = of[:0]
				}
				of = append(of, h)
			}
			if len(page) < filter.Limit {
				if len(of) > 0 {
					yield(of, nil)
				}
				return
			}
			last := &page[len(page)-1]
			filter.First, filter.After = last.SPIFFEID, store.Cursor{NotAfter: last.NotAfter, Serial: last.Serial}
		}
	}
}

// heads returns, of the certificates of one SPIFFE ID ordered by NotAfter, those that a successor
// would be of use to: the newest for its key, not revoked, not replaced by a renewal of its
// holder's, and in the hands of its holder. One that Pando renewed by itself, and that nobody has
// asked for, has no successor: when its own window begins, the certificate that would have
// to be shown to get it is about to expire.
func heads(set *ca.Set, held []store.Holding) []store.Holding {
	newest := make(map[[32]byte]*store.Holding, len(held))
	replaced := make(map[store.Serial]bool, len(held))
	for i := range held {
		h := &held[i]
		if issuerRevoked(set, h.Issuer) {
			continue // nobody accepts it
		}
		if before := newest[h.KeyHash]; before == nil || !h.IssuedAt.Before(before.IssuedAt) {
			newest[h.KeyHash] = h
		}
		replaced[h.Replaces] = true
	}
	var found []store.Holding
	for i := range held {
		h := &held[i]
		collected := h.Collected || h.Method != string(policy.MethodPreRenew)
		if newest[h.KeyHash] == h && h.Revoked == nil && !replaced[h.Serial] && collected {
			found = append(found, *h)
		}
	}
	return found
}

// flush signs and writes the batch at the pace that is set.
func (r *preRenewal) flush(ctx context.Context) error {
	if len(r.batch) == 0 {
		return nil
	}
	s, batch := r.service, r.batch
	r.batch = nil
	if err := s.preRenewLimit.WaitN(ctx, len(batch)); err != nil {
		return fmt.Errorf("wait for the pace of pre-renewal: %w", err)
	}
	now := time.Now() // of the certificates: the run may have been going on for long
	trust := s.trust.Load()
	var issuances []*store.Issuance
	for i := range batch {
		issuance, err := s.successor(ctx, trust, &batch[i], now)
		if err != nil {
			r.refuse(err)
			continue
		}
		issuances = append(issuances, issuance)
	}
	if len(issuances) == 0 {
		return nil
	}
	// The commit point. If we crash before it, the next run finds the same certificates due; if
	// we crash after it, it finds their successors.
	return r.written(ctx, trust, s.issuances.InsertAll(ctx, issuances, now))
}

// written counts what became of a batch. What the next run can do is left to it.
func (r *preRenewal) written(ctx context.Context, trust *trust, errs []error) error {
	stale := false
	for _, err := range errs {
		switch {
		case err == nil:
			r.signed++
			r.service.issued.Add(1)
		case errors.Is(err, store.ErrIssuerInactive):
			stale = true
		case errors.Is(err, store.ErrCallerRevoked), errors.Is(err, store.ErrKeyBlocked), errors.Is(err, store.ErrEntryGone),
			errors.Is(err, store.ErrSerialTaken), errors.Is(err, store.ErrInvalid):
			r.refuse(err)
		default:
			return fmt.Errorf("insert pre-renewed: %w", err)
		}
	}
	if stale {
		return r.service.catchUp(ctx, trust.set.Generation())
	}
	return nil
}

func (r *preRenewal) refuse(err error) {
	if r.refused == 0 {
		r.refusal = err
	}
	r.refused++
}

// successor decides on a successor and signs it.
func (s *Service) successor(ctx context.Context, trust *trust, of *succession, now time.Time) (*store.Issuance, error) {
	old := &of.old
	h, err := newHolding(old)
	if err != nil {
		return nil, err
	}
	key, err := keyOf(old)
	if err != nil {
		return nil, err
	}
	caller := policy.Caller{Method: policy.MethodPreRenew, Subject: preRenewer, Serial: ca.Serial(old.Serial)}
	grant, err := policy.Decide(policy.Input{
		Caller: caller, CSR: key, Current: &h.current, Entries: []*policy.Entry{of.entry},
		Want:     policy.Want{Duration: s.sameLifetime(old)},
		Profiles: s.profiles, Set: trust.set, Now: now,
	})
	if err != nil {
		return nil, err
	}
	cert, err := s.sign(ctx, trust, grant)
	if err != nil {
		return nil, err
	}
	return newIssuance(caller, key, grant, cert, now), nil
}

// keyOf is the key of a recorded certificate as a request for no names at all.
func keyOf(r *store.Record) (*ca.CSR, error) {
	cert, err := x509.ParseCertificate(r.Certificate)
	if err != nil {
		return nil, fmt.Errorf("record %s: %w", ca.Serial(r.Serial), err)
	}
	algorithm, err := ca.KeyAlgorithmOf(cert.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("record %s: %w", ca.Serial(r.Serial), err)
	}
	return &ca.CSR{PublicKey: cert.PublicKey, KeyAlgorithm: algorithm, KeyHash: r.KeyHash}, nil
}

// sameLifetime is how long a certificate lives, or what its profile allows now, if that is less:
// who only downloads cannot ask for less, and had better have that than nothing.
func (s *Service) sameLifetime(r *store.Record) time.Duration {
	lifetime := r.NotAfter.Sub(r.NotBefore)
	if p := s.profiles[r.Profile]; p != nil {
		return min(lifetime, p.MaxDuration)
	}
	return lifetime
}

// window is when a recorded certificate is to be renewed, under the current generation.
func (s *Service) window(r *store.Record) ca.Window {
	return s.trust.Load().set.Window(r.Issuer, ca.Serial(r.Serial), r.NotBefore, r.NotAfter, s.renewAt(r.Profile))
}
