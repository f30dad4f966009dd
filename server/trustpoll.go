package server

import (
	"context"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
)

// MaxTrustWait is the longest that [Service.Trust] waits, whatever the caller asks for: below
// what proxies and trackers of connections allow to be silent.
const MaxTrustWait = 30 * time.Second

// TrustUpdate is the current trust bundle as one caller needs it.
type TrustUpdate struct {
	Bundle  *Bundle   // shared: do not change it
	Renewal ca.Window // of the caller's certificate; zero when it has shown none that is recorded
	Changed bool      // whether the bundle is newer than the one that the caller has
}

// Trust returns the trust bundle at once when its sequence is above after, or after is 0;
// otherwise when that becomes so, or wait, ctx or the replica ends, whichever is first.
// An answer that is no news is no error.
//
// An after above 0 from the holder of a certificate is the acknowledgement that it has the
// bundle with that sequence. A replica acknowledges for nobody what it has not seen itself.
func (s *Service) Trust(ctx context.Context, caller policy.Caller, after uint64, wait time.Duration) (*TrustUpdate, error) {
	p, err := s.newPoll(ctx, caller, after)
	if err != nil {
		return nil, err
	}
	if wait < 0 {
		return nil, invalid("wait: %s is negative", wait)
	}
	trust := s.trust.Load()
	p.acknowledge(trust)
	if after == 0 || wait == 0 || trust.bundle.Sequence > after {
		return p.update(trust), nil
	}
	if err := s.polls.enter(caller.Subject); err != nil {
		return nil, err
	}
	defer s.polls.leave(caller.Subject)
	timer := time.NewTimer(min(wait, MaxTrustWait))
	defer timer.Stop()
	for trust.bundle.Sequence <= after {
		select {
		case <-trust.next: // a generation with the same bundle ends no poll
			trust = s.trust.Load()
			p.acknowledge(trust)
		case <-timer.C:
			return p.update(trust), nil
		case <-s.polls.draining:
			return p.update(trust), nil
		case <-ctx.Done():
			return p.update(trust), nil
		}
	}
	return p.update(trust), nil
}

// WatchTrust sends the trust bundle at once, and again whenever its sequence changes, until
// ctx ends or send fails. It acknowledges after like [Service.Trust], and nothing more: that a
// bundle was sent does not mean that it has arrived. When the replica ends, it returns an
// error that invites to try again.
func (s *Service) WatchTrust(ctx context.Context, caller policy.Caller, after uint64, send func(*TrustUpdate) error) error {
	p, err := s.newPoll(ctx, caller, after)
	if err != nil {
		return err
	}
	if err := s.polls.enter(caller.Subject); err != nil {
		return err
	}
	defer s.polls.leave(caller.Subject)
	trust := s.trust.Load()
	for {
		p.acknowledge(trust)
		if err := send(p.update(trust)); err != nil {
			return err
		}
		sent := trust.bundle.Sequence
		for trust.bundle.Sequence == sent {
			select {
			case <-trust.next:
				trust = s.trust.Load()
			case <-s.polls.draining:
				return mayNotWait(KindUnavailable, "unavailable", "this server is about to stop", retryUnavailable)
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// Drain ends all waiting for trust bundles at once, now and from now on: polls are answered
// with what there is. Both doors call it when they shut down, so that no poll holds a stop up.
func (s *Service) Drain() { s.polls.drain() }

// poll is one caller who asks for the trust bundle.
type poll struct {
	service *Service
	serial  ca.Serial
	holding *holding // nil: the caller has shown no certificate that is recorded
	after   uint64
}

func (s *Service) newPoll(ctx context.Context, caller policy.Caller, after uint64) (*poll, error) {
	if err := s.authorize(ctx, caller, OpTrust); err != nil {
		return nil, err
	}
	p := &poll{service: s, serial: caller.Serial, after: after}
	if caller.Method != policy.MethodPeer {
		return p, nil
	}
	var err error
	if p.holding, err = s.recorded(ctx, caller.Serial); err != nil {
		// Nobody is to go without the bundle for this. The next poll acknowledges again.
		s.log.WarnContext(ctx, "acknowledgement is put off", "serial", caller.Serial.String(), "error", err)
	}
	return p, nil
}

// acknowledge notes that the caller has the bundle of trust, or the older one that it names.
func (p *poll) acknowledge(trust *trust) {
	if p.holding == nil || p.after == 0 || p.service.acks == nil {
		return
	}
	p.service.acks.add(p.serial, min(p.after, trust.bundle.Sequence), p.holding.notAfter)
}

func (p *poll) update(trust *trust) *TrustUpdate {
	u := &TrustUpdate{Bundle: trust.bundle, Changed: trust.bundle.Sequence > p.after}
	if h := p.holding; h != nil {
		u.Renewal = trust.set.Window(h.issuer, p.serial, h.notBefore, h.notAfter, p.service.renewAt(h.current.Profile))
	}
	return u
}
