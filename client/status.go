package client

import (
	"context"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// Status is the state of a [Source] at one moment.
type Status struct {
	Ready          bool // there is an identity; without one, what is about the certificate is zero
	ID             spiffeid.ID
	Serial         string // of the certificate, as 38 lower-case hex digits
	Issuer         string // ID of the authority that signed it, as 16 lower-case hex digits
	NotBefore      time.Time
	NotAfter       time.Time
	RenewalDue     time.Time // start of the renewal window
	RenewalOverdue time.Time // its end: past this and not renewed, somebody should look
	BundleSequence uint64    // of the trust bundle; 0 until the CA has sent one
	BundleUpdated  time.Time // when that bundle was adopted; zero until the CA has sent one

	// Revoked says that the CA has revoked the certificate or its issuer, so that nobody
	// accepts it any more: handshakes fail until there is another one.
	Revoked             bool
	RevokedCertificates int       // all that are known to be revoked and have not expired
	RevocationSequence  uint64    // of the last revocation that is known; 0: none
	RevocationsUpdated  time.Time // when the CA last said what is revoked; zero: never, if it is too old for that

	LastSuccess time.Time // when the certificate came
	LastFailure time.Time // zero if none ever failed
	LastError   error     // why the last try failed; nil after a success
	Failures    int       // tries in a row that failed

	// Following says that the CA answers the polls by which new roots are learned at once.
	// Without, they are learned with the next certificate. FollowError is why not, and nil
	// while it does or has yet to.
	Following   bool
	FollowError error

	// The policy of the CA about modes, which listeners in [ModePolicy] follow. PolicyError
	// says that the last one was not understood, and the one before stays in force.
	PolicyVersion string    // of the one in force; "": none, that is strict
	PolicyUpdated time.Time // when the CA last said one; zero: not since the start
	PolicyError   error
	Overrides     []Override // emergency overrides in force, in the order of their ends

	// CacheError is why the last change is not in Config.CacheDir; nil: it is, or there is no
	// such directory.
	CacheError error
}

// Expired reports whether the certificate was past its end at now. If there is none, it was.
func (st Status) Expired(now time.Time) bool { return now.After(st.NotAfter) }

// Status returns the state of now. A health check should fail when it has expired or is
// revoked, and warn when it is overdue.
func (s *Source) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status()
}

// status is Status for a caller that holds mu.
func (s *Source) status() Status {
	cur := s.snapshot.Load()
	st := Status{
		Ready: cur.held(), ID: cur.id, Issuer: cur.issuer,
		RenewalDue: cur.window.start, RenewalOverdue: cur.window.end, BundleSequence: cur.trust.sequence,
		BundleUpdated: s.bundleUpdated, Following: s.following, FollowError: s.followError,
		Revoked: cur.withdrawn != nil, RevokedCertificates: cur.revoked.count(),
		RevocationSequence: cur.revoked.cursor(), RevocationsUpdated: s.revocationsUpdated,
		LastSuccess: s.lastSuccess, LastFailure: s.lastFailure, LastError: s.lastError, Failures: s.failures,
		CacheError: s.cacheError, Overrides: s.Overrides(),
	}
	if st.Ready {
		st.Serial, st.NotBefore, st.NotAfter = cur.serial(), cur.leaf().NotBefore, cur.leaf().NotAfter
	}
	st.PolicyVersion, st.PolicyUpdated, st.PolicyError = s.modes.known()
	return st
}

// failed records a failed renewal and returns how long to wait before the next try.
func (s *Source) failed(cur *snapshot, err error, now time.Time) time.Duration {
	failures := s.noteFailure(err, now)
	delay := cur.pause(failures, err, now)
	s.log.Warn("renewal failed", "spiffe_id", cur.id, "error", err, "failures", failures,
		"retry_in", delay, "not_after", cur.leaf().NotAfter)
	return delay
}

// noteFailure records that a try to obtain a certificate failed, and returns how many in a
// row have.
func (s *Source) noteFailure(err error, now time.Time) (failures int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures++
	s.lastFailure, s.lastError = now, err
	s.notifier.add(Event{Kind: EventFailed, Err: err, Status: s.status()})
	return s.failures
}

// Updates returns a channel that carries the current status at once, ready or not, and then one after
// each new certificate, each new trust bundle, and the revocation of the own certificate; failures are not sent. A reader that is
// slow sees the latest only, and slows nobody. The channel is closed when ctx ends or the
// Source is closed:
//
//	for status := range source.Updates(ctx) { … }
func (s *Source) Updates(ctx context.Context) <-chan Status {
	ch := make(chan Status, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	ch <- s.status()
	if s.closed {
		close(ch)
		return ch
	}
	s.watchers[ch] = context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.unwatch(ch)
	})
	return ch
}

// unwatch closes a watcher's channel once. The caller holds mu.
func (s *Source) unwatch(ch chan Status) {
	stop, ok := s.watchers[ch]
	if !ok {
		return
	}
	stop()
	delete(s.watchers, ch)
	close(ch)
}

// offer replaces what the reader has not taken yet. Only one goroutine at a time sends, the
// one that holds the Source's mu, so that the second step finds room.
func offer(ch chan Status, st Status) {
	select {
	case <-ch:
	default:
	}
	ch <- st
}
