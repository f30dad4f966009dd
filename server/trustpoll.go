package server

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/mtls"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/store"
)

// MaxTrustWait is the longest that [Service.Trust] waits, whatever the caller asks for: below
// what proxies and trackers of connections allow to be silent.
const MaxTrustWait = 30 * time.Second

// MaxRevocations is the most serial numbers in one answer: some 400 KiB.
const MaxRevocations = 10_000

// Known is what a caller has of what [Service.Trust] tells.
type Known struct {
	Bundle uint64 // sequence of the trust bundle; 0: none
	// Revocations is the sequence of the last answer, 0 before the first; nil: the caller does
	// not ask for them.
	Revocations *uint64
	// MTLS is the version of the mTLS policy, "" when it has none; nil: the caller does not ask
	// for it.
	MTLS *string
}

// TrustUpdate is what there is to trust, and not to trust, as one caller needs it.
type TrustUpdate struct {
	Bundle  *Bundle   // shared: do not change it
	Renewal ca.Window // of the caller's certificate; zero when it has shown none that is recorded
	Changed bool      // whether the bundle is newer than the one that the caller has

	// Revocations are those that the caller does not know yet. It is nil when the caller does
	// not ask for them, and until this replica has read them, moments after its start.
	Revocations *Revocations

	// MTLS is the mTLS policy for the holder of a certificate. It is nil when the caller does not
	// ask for it, or has shown none. Shared: do not change it.
	MTLS *mtls.Effective
}

// Revocations is what has been revoked since a sequence.
type Revocations struct {
	Sequence uint64      // to ask with the next time
	Serials  []ca.Serial // of unexpired certificates; shared: do not change it
	// Authorities is the SHA-256 of the SubjectPublicKeyInfo, in hex, of every authority that is
	// revoked and has not expired: always all of them.
	Authorities []string
	More        bool // there are more serial numbers: ask again at once
	// Reset says that the caller knows of more than there is, because the database was
	// restored: what it has does not count any more.
	Reset bool
}

// Trust returns at once when there is something that the caller does not know: a trust bundle
// with a higher sequence, revocations, or another mTLS policy. Otherwise it returns when that becomes so, when the
// renewal window of the caller moves, or when wait, ctx or the replica ends, whichever is
// first. An answer that is no news is no error.
//
// A known bundle of the holder of a certificate is the acknowledgement that it has the
// bundle with that sequence. A replica acknowledges for nobody what it has not seen itself.
func (s *Service) Trust(ctx context.Context, caller policy.Caller, known Known, wait time.Duration) (*TrustUpdate, error) {
	p, err := s.newPoll(ctx, caller, known)
	if err != nil {
		return nil, err
	}
	if wait < 0 {
		return nil, invalid("wait: %s is negative", wait)
	}
	p.acknowledge()
	if known.Bundle == 0 || wait == 0 || p.news() {
		return p.update(), nil
	}
	if err := s.polls.enter(caller.Subject); err != nil {
		return nil, err
	}
	defer s.polls.leave(caller.Subject)
	timer := time.NewTimer(min(wait, MaxTrustWait))
	defer timer.Stop()
	for !p.news() {
		select {
		case <-p.trust.next: // a generation with the same bundle ends no poll
		case <-p.view.changed:
		case <-p.policies:
		case <-timer.C:
			return p.update(), nil
		case <-s.polls.draining:
			return p.update(), nil
		case <-ctx.Done():
			return p.update(), nil
		}
		if err := p.look(); err != nil {
			return nil, err
		}
		p.acknowledge()
	}
	return p.update(), nil
}

// WatchTrust sends what [Service.Trust] returns at once, and again whenever that would return,
// until ctx ends or send fails. It acknowledges the known bundle like [Service.Trust], and
// nothing more: that a bundle was sent does not mean that it has arrived. When the replica
// ends, it returns an error that invites to try again.
func (s *Service) WatchTrust(ctx context.Context, caller policy.Caller, known Known, send func(*TrustUpdate) error) error {
	p, err := s.newPoll(ctx, caller, known)
	if err != nil {
		return err
	}
	if err := s.polls.enter(caller.Subject); err != nil {
		return err
	}
	defer s.polls.leave(caller.Subject)
	for {
		p.acknowledge()
		update := p.update()
		if err := send(update); err != nil {
			return err
		}
		p.sent(update)
		for !p.news() {
			select {
			case <-p.trust.next:
			case <-p.view.changed:
			case <-p.policies:
			case <-s.polls.draining:
				return mayNotWait(KindUnavailable, "unavailable", "this server is about to stop", retryUnavailable)
			case <-ctx.Done():
				return nil
			}
			if err := p.look(); err != nil {
				return err
			}
		}
	}
}

// Drain ends all waiting for trust bundles at once, now and from now on: polls are answered
// with what there is. Both doors call it when they shut down, so that no poll holds a stop up.
func (s *Service) Drain() { s.polls.drain() }

// poll is one caller who asks for the trust bundle. It belongs to one goroutine.
type poll struct {
	service *Service
	caller  policy.Caller
	holding *holding // nil: the caller has shown no certificate that is recorded
	after   uint64   // the bundle that is acknowledged

	// What the caller knows. Of its window and of the revoked authorities it does not say:
	// it has been told of them as they were when it asked.
	known       Known
	reset       bool
	window      ca.Window
	authorities []string

	// What this replica knows, since when, and the highest sequence that it knew meanwhile.
	trust   *trust
	view    view
	now     time.Time
	highest uint64

	mtls     *mtls.Effective // nil: not asked for
	policies <-chan struct{} // closed once mtls may be another one
}

func (s *Service) newPoll(ctx context.Context, caller policy.Caller, known Known) (*poll, error) {
	if err := s.authorize(ctx, caller, OpTrust); err != nil {
		return nil, err
	}
	p := &poll{service: s, caller: caller, after: known.Bundle, known: known}
	if caller.Method == policy.MethodPeer {
		var err error
		p.holding, err = s.recorded(ctx, caller)
		switch {
		case errors.Is(err, errForged):
			return nil, err
		case err != nil:
			// Nobody is to go without the bundle for this. The next poll acknowledges again.
			s.log.WarnContext(ctx, "acknowledgement is put off", "serial", caller.Serial.String(), "error", err)
		}
	}
	if err := p.look(); err != nil {
		return nil, err
	}
	if err := p.catchUp(ctx); err != nil {
		return nil, err
	}
	p.reset = p.reset || p.ahead(ctx)
	p.window, p.authorities = p.renewal(), p.trust.set.RevokedKeys(p.now)
	return p, nil
}

// look takes in what this replica knows now. Whoever waits with a certificate that has been
// revoked meanwhile is told so.
func (p *poll) look() error {
	p.view = p.service.revoked.view() // before the authorities: see follower.look
	p.trust, p.now = p.service.trust.Load(), time.Now()
	p.highest = max(p.highest, p.view.sequence)
	if p.asksPolicy() {
		state := p.service.mtls.state.Load()
		p.mtls, p.policies = state.of(p.caller.ID), state.changed
	}
	if p.follows() && p.view.sequence < p.highest && p.view.sequence < *p.known.Revocations {
		p.reset = true // the database was restored while the caller waited
	}
	if p.caller.Method == policy.MethodPeer && p.service.revoked.has(p.caller.Serial) {
		return store.ErrCallerRevoked
	}
	return nil
}

// asksPolicy reports whether there is a policy for the caller, and it wants to be told. It is that
// of the SPIFFE ID in its certificate.
func (p *poll) asksPolicy() bool {
	return p.known.MTLS != nil && p.caller.Method == policy.MethodPeer && p.service.mtlsStore != nil
}

// catchUp asks the database before a policy is told that is another one than the caller has: this
// replica may be behind the one that was asked before, or have just started. While the database
// is away, what is known is told.
func (p *poll) catchUp(ctx context.Context) error {
	if !p.asksPolicy() || p.mtls.Version == *p.known.MTLS {
		return nil
	}
	loaded := p.service.mtls.state.Load().loaded
	if loaded && *p.known.MTLS == "" {
		return nil // it has been told nothing that could be newer
	}
	err := p.service.refreshMTLS(ctx, p.now)
	switch {
	case err != nil && !loaded:
		return err // nothing that could be told is known
	case err != nil:
		p.service.log.WarnContext(ctx, "mTLS policies may be old", "error", err)
	}
	return p.look()
}

// ahead reports whether the caller knows of more revocations than there are in the database.
// That this replica knows of fewer may only mean that another one was faster.
func (p *poll) ahead(ctx context.Context) bool {
	f := p.service.follower.Load()
	if !p.follows() || *p.known.Revocations <= p.view.sequence || f == nil {
		return false
	}
	sequence, err := f.cfg.Revocations.RevocationSequence(ctx)
	return err == nil && sequence < *p.known.Revocations
}

// follows reports whether revocations can be told of, and are asked for.
func (p *poll) follows() bool { return p.known.Revocations != nil && p.view.loaded }

// acknowledge notes that the caller has the current bundle, or the older one that it names.
func (p *poll) acknowledge() {
	if p.holding == nil || p.after == 0 || p.service.acks == nil {
		return
	}
	p.service.acks.add(p.caller.Serial, min(p.after, p.trust.bundle.Sequence), p.holding.notAfter)
}

// news reports whether there is something that the caller does not know.
func (p *poll) news() bool {
	switch window := p.renewal(); {
	case p.trust.bundle.Sequence > p.known.Bundle:
		return true
	case !window.Start.Equal(p.window.Start) || !window.End.Equal(p.window.End):
		return true
	case p.mtls != nil && p.mtls.Version != *p.known.MTLS:
		return true
	case !p.follows():
		return false
	}
	return p.reset || p.view.sequence > *p.known.Revocations || !slices.Equal(p.trust.set.RevokedKeys(p.now), p.authorities)
}

// renewal is when the caller's certificate is to be renewed.
func (p *poll) renewal() ca.Window {
	h := p.holding
	if h == nil {
		return ca.Window{}
	}
	return p.trust.set.Window(h.issuer, p.caller.Serial, h.notBefore, h.notAfter, p.service.renewAt(h.current.Profile))
}

func (p *poll) update() *TrustUpdate {
	u := &TrustUpdate{Bundle: p.trust.bundle, Changed: p.trust.bundle.Sequence > p.known.Bundle, Renewal: p.renewal(), MTLS: p.mtls}
	if !p.follows() {
		return u
	}
	after := *p.known.Revocations
	if p.reset {
		after = 0
	}
	r := &Revocations{Authorities: p.trust.set.RevokedKeys(p.now), Reset: p.reset}
	r.Serials, r.Sequence, r.More = p.service.revoked.since(p.view, after, MaxRevocations)
	if !p.reset {
		r.Sequence = max(r.Sequence, after) // this replica may be behind the one that was asked before
	}
	u.Revocations = r
	return u
}

// sent notes what the caller has been told.
func (p *poll) sent(u *TrustUpdate) {
	p.known.Bundle, p.window = u.Bundle.Sequence, u.Renewal
	if u.MTLS != nil {
		p.known.MTLS = &u.MTLS.Version
	}
	if r := u.Revocations; r != nil {
		p.known.Revocations, p.authorities, p.reset = &r.Sequence, r.Authorities, false
	}
}
