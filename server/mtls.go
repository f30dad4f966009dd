package server

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pando-ca/pando/ca/mtls"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/store"
)

// MTLSStore keeps what programs are told about mutual TLS, and what they tell.
type MTLSStore interface {
	store.MTLSPolicies
	store.MTLSOverrides
	store.MTLSVersions
	store.MTLSReports
}

// mtlsIndex is the policies and the overrides in memory. It follows the database: [follower].look
// reads them when their number has changed, and lapse drops what has expired.
type mtlsIndex struct {
	turn  chan struct{} // holds one value while somebody changes state
	state atomic.Pointer[mtlsState]
	// When the database was asked last, by whoever has the turn. That changes no state.
	looked time.Time
}

// mtlsState is the policies, and the overrides in force, at a moment. It is immutable, but for
// what it remembers of its own answers.
type mtlsState struct {
	loaded    bool // false until the database was read once
	version   uint64
	policy    *mtls.Policy
	overrides []mtls.Override // that were in force when this was made
	made      time.Time       // at which it judges overrides
	changed   chan struct{}   // closed once there is another one

	// One for each caller that asks, and of those with equal contents one in all.
	byCaller  sync.Map // spiffeid.ID → *mtls.Effective
	byVersion sync.Map // string → *mtls.Effective
}

func newMTLSIndex() *mtlsIndex {
	x := &mtlsIndex{turn: make(chan struct{}, 1)}
	x.state.Store(&mtlsState{policy: mtls.NewPolicy(nil), changed: make(chan struct{})})
	return x
}

// replace makes next current and wakes those who wait. The caller has the turn.
func (x *mtlsIndex) replace(next *mtlsState) {
	next.changed = make(chan struct{})
	close(x.state.Swap(next).changed)
}

// enter waits for the turn; leave gives it back.
func (x *mtlsIndex) enter(ctx context.Context) error {
	select {
	case x.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the mTLS policies: %w: %w", store.ErrUnavailable, ctx.Err())
	}
}

func (x *mtlsIndex) leave() { <-x.turn }

// of is what holds for a caller. It is worked out once for each state; those who share a SPIFFE
// ID share it, and so do those for whom the same holds.
func (m *mtlsState) of(id spiffeid.ID) *mtls.Effective {
	if known, ok := m.byCaller.Load(id); ok {
		return known.(*mtls.Effective)
	}
	effective := m.explain(id)
	effective.Overruled = nil // nobody is told
	shared, _ := m.byVersion.LoadOrStore(effective.Version, effective)
	m.byCaller.Store(id, shared)
	return shared.(*mtls.Effective)
}

// explain is what holds for an identity, and what does not. Pando's own are strict.
func (m *mtlsState) explain(id spiffeid.ID) *mtls.Effective {
	if policy.Reserved(id) {
		id = spiffeid.ID{}
	}
	return m.policy.Effective(id, m.overrides, m.made)
}

// inForce is the overrides in force at now.
func (m *mtlsState) inForce(now time.Time) []mtls.Override {
	return slices.DeleteFunc(slices.Clone(m.overrides), func(o mtls.Override) bool { return !o.InForce(now) })
}

// at is the state with the overrides that are in force at now.
func (m *mtlsState) at(now time.Time) *mtlsState {
	return &mtlsState{loaded: m.loaded, version: m.version, policy: m.policy, overrides: m.inForce(now), made: now}
}

// lapses is when the next override expires; zero: none does.
func (m *mtlsState) lapses() time.Time {
	var next time.Time
	for _, o := range m.overrides {
		if next.IsZero() || o.Expires.Before(next) {
			next = o.Expires
		}
	}
	return next
}

// MTLSOverridesInForce is the overrides that this replica knows to be in force now, and whether it
// has read them yet.
func (s *Service) MTLSOverridesInForce() ([]mtls.Override, bool) {
	state := s.mtls.state.Load()
	return state.inForce(time.Now()), state.loaded
}

// refreshMTLS reads policies and overrides again if their number has changed, unless the database
// has been asked for it since a moment.
func (s *Service) refreshMTLS(ctx context.Context, since time.Time) error {
	if s.mtlsStore == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
	defer cancel()
	if err := s.mtls.enter(ctx); err != nil {
		return err
	}
	defer s.mtls.leave()
	if s.mtls.looked.After(since) {
		return nil
	}
	now := time.Now()
	version, err := s.mtlsStore.MTLSVersion(ctx)
	if err != nil {
		return fmt.Errorf("version of the mTLS policies: %w", err)
	}
	if state := s.mtls.state.Load(); !state.loaded || state.version != version {
		next, err := s.readMTLS(ctx, now)
		if err != nil {
			return err
		}
		next.version = version // of before: a change in between is found by the next look
		s.mtls.replace(next)
	}
	s.mtls.looked = now
	return nil
}

func (s *Service) readMTLS(ctx context.Context, now time.Time) (*mtlsState, error) {
	policies, err := s.mtlsStore.MTLSPolicies(ctx)
	if err != nil {
		return nil, fmt.Errorf("read mTLS policies: %w", err)
	}
	overrides, err := s.mtlsStore.MTLSOverrides(ctx, store.MTLSOverrideFilter{InForceAt: now, Limit: store.MaxMTLSOverrides})
	if err != nil {
		return nil, fmt.Errorf("read mTLS overrides: %w", err)
	}
	next := &mtlsState{loaded: true, made: now}
	var rules []mtls.Rule
	for i := range policies {
		rule, err := ruleOf(&policies[i])
		if err != nil {
			s.log.ErrorContext(ctx, "mTLS policy ignored", "error", err)
			continue
		}
		rules = append(rules, rule)
	}
	for i := range overrides {
		override, err := overrideOf(&overrides[i])
		if err != nil {
			s.log.ErrorContext(ctx, "mTLS override ignored", "error", err)
			continue
		}
		next.overrides = append(next.overrides, override)
	}
	next.policy = mtls.NewPolicy(rules)
	return next, nil
}

// ruleOf reads a row. A mode that this replica does not know, since a newer one has written it,
// is strict.
func ruleOf(p *store.MTLSPolicy) (mtls.Rule, error) {
	pattern, err := mtls.ParsePattern(p.Pattern)
	if err != nil {
		return mtls.Rule{}, fmt.Errorf("mTLS policy %q: %w", p.Pattern, err)
	}
	rule := mtls.Rule{Pattern: pattern, Name: p.Name, Mode: mtls.Mode(p.Mode), PlaintextDial: p.PlaintextDial}
	if !slices.Contains(mtls.Modes(), rule.Mode) {
		rule.Mode, rule.PlaintextDial = mtls.ModeStrict, false
	}
	return rule, nil
}

func overrideOf(o *store.MTLSOverride) (mtls.Override, error) {
	pattern, err := mtls.ParsePattern(o.Pattern)
	if err != nil {
		return mtls.Override{}, fmt.Errorf("mTLS override %s: %w", o.ID, err)
	}
	return mtls.Override{
		ID: o.ID, Pattern: pattern, Name: o.Name, Side: mtls.Side(o.Side), Reason: o.Reason,
		Expires: o.ExpiresAt, Ended: o.EndedAt,
	}, nil
}

// lapseMTLS drops overrides as they expire, and wakes those who wait for that, until ctx ends.
// It needs no database.
func (s *Service) lapseMTLS(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		state := s.mtls.state.Load()
		var expired <-chan time.Time
		if next := state.lapses(); !next.IsZero() {
			timer.Reset(time.Until(next))
			expired = timer.C
		}
		select {
		case <-ctx.Done():
			return
		case <-state.changed:
		case <-expired:
			if s.mtls.enter(ctx) != nil {
				return // ctx has ended
			}
			now, state := time.Now(), s.mtls.state.Load()
			if next := state.lapses(); !next.IsZero() && !next.After(now) {
				s.mtls.replace(state.at(now))
			}
			s.mtls.leave()
		}
	}
}
