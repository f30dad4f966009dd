package client

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// urgentSettle is how long after a certificate came its renewal may start when the CA asks
// for one ahead of time. It keeps renewals apart if the CA asks for that without end.
const urgentSettle = 10 * time.Second

// under returns the snapshot with the roots of t instead, or why t does not vouch for the
// certificate.
func (s *snapshot) under(t *trust, now time.Time) (*snapshot, error) {
	if _, _, err := t.verifyOwn(s.chain, now); err != nil {
		return nil, err
	}
	next := *s
	next.trust = t
	if next.announced != nil && !next.announced.newerThan(t) {
		next.announced = nil
	}
	if next.revoked != nil {
		return next.knowing(next.revoked, now), nil
	}
	return &next, nil
}

// with returns the snapshot as it is once the CA has sent t: s itself if that is no news.
// Roots that do not vouch for the own certificate are set aside, since a workload that
// adopted them could neither renew nor resume its sessions, and the certificate is due for
// renewal instead; err then says so.
func (s *snapshot) with(t *trust, now time.Time) (next *snapshot, err error) {
	if !t.newerThan(s.trust) {
		return s, nil
	}
	next, err = s.under(t, now)
	if err == nil {
		return next, nil
	}
	err = fmt.Errorf("bundle %d is set aside until a renewal: %w", t.sequence, err)
	told := s.announced != nil && !t.newerThan(s.announced)
	if told && !s.window.start.After(now) {
		return s, err
	}
	aside := *s
	if !told {
		// The first time it is urgent. If the renewal brings no better certificate, the
		// next ones keep the usual distance.
		aside.announced, aside.settle = t, min(s.settle, urgentSettle)
	}
	if aside.window.start.After(now) {
		aside.window = window{start: now, end: now}
	}
	return &aside, err
}

// moved returns the snapshot with a window that the CA has changed its mind about: s itself
// if it has not, or makes no sense.
func (s *snapshot) moved(w window) *snapshot {
	if !s.fits(w) || w.start.Equal(s.told.start) && w.end.Equal(s.told.end) {
		return s
	}
	next := *s
	next.told = w
	// A renewal that is due for another reason is not put off.
	if pinned := s.told.start.IsZero() || s.announced != nil || s.withdrawn != nil; !pinned || w.start.Before(s.window.start) {
		next.window = s.trimmed(w)
	}
	if s.window.start.Sub(next.window.start) >= time.Second {
		next.settle = min(s.settle, urgentSettle)
	}
	return &next
}

// knowing returns the snapshot with what is revoked. If the own certificate is of no use
// any more it is due at once.
func (s *snapshot) knowing(r *revocations, now time.Time) *snapshot {
	next := *s
	next.revoked, next.withdrawn = r, nil
	if _, _, err := next.judge().verify(s.chain, x509.ExtKeyUsageAny, ownTime(s.leaf(), now)); errors.Is(err, ErrRevoked) {
		next.withdrawn = err
	}
	if next.withdrawn != nil && s.withdrawn == nil {
		next.settle = min(s.settle, urgentSettle)
		if next.window.start.After(now) {
			next.window = window{start: now, end: now}
		}
	}
	return &next
}

// after returns the snapshot after what the CA says is revoked: s itself if that is nothing
// new. news is as for [revocations.with].
func (s *snapshot) after(l *revocationList, now time.Time) (next *snapshot, news bool, err error) {
	if l == nil {
		return s, false, nil
	}
	known, news, err := s.revoked.with(l, now)
	if known == s.revoked {
		return s, false, err
	}
	return s.knowing(known, now), news, nil
}

// renewed makes next, which has a new certificate, what every handshake from now on has.
// While it was obtained the follower may have adopted or set aside newer roots, and learned
// of revocations; these are never given up.
func (s *Source) renewed(next *snapshot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, err := next.succeeding(s.snapshot.Load())
	if err != nil {
		return err
	}
	s.lastSuccess, s.lastError, s.failures = next.obtained, nil, 0
	s.install(next, next.obtained)
	s.log.Info("identity obtained", "spiffe_id", next.id, "serial", next.serial(), "not_after", next.leaf().NotAfter,
		"renewal_due", next.window.start, "bundle_sequence", next.trust.sequence)
	return nil
}

// succeeding returns the snapshot with all that cur knows about roots and revocations.
func (s *snapshot) succeeding(cur *snapshot) (next *snapshot, err error) {
	next = s
	// Before there is a certificate, what is known of roots is what was kept, and enrolFirst has
	// seen to it.
	if cur.held() && !s.trust.newerThan(cur.trust) && s.trust != cur.trust {
		if next, err = s.under(cur.trust, s.obtained); err != nil {
			return nil, fmt.Errorf("under bundle %d, which is known already: %w", cur.trust.sequence, err)
		}
	}
	if cur.revoked != nil {
		next = next.knowing(cur.revoked, s.obtained)
	}
	if next.withdrawn != nil {
		return nil, fmt.Errorf("the new certificate is of no use: %w", next.withdrawn)
	}
	if cur.announced == nil || !cur.announced.newerThan(next.trust) {
		return next, nil
	}
	waiting := *next
	waiting.announced = cur.announced
	next, _ = waiting.with(cur.announced, s.obtained) // whether it is adopted now or still waits
	return next, nil
}

// followed takes in what a poll with the certificate of polled has brought, and reports
// whether that changes whom to trust. What is wrong with a part of it does not keep the
// others out.
func (s *Source) followed(polled *snapshot, u update, now time.Time) (news bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cur := s.snapshot.Load()
	next, setAside := cur.with(u.trust, now)
	next, revoked, tooMany := next.after(u.revocations, now)
	if err = setAside; err == nil {
		err = tooMany
	}
	if u.revocations != nil {
		s.revocationsUpdated = now
	}
	if cur.leaf() == polled.leaf() { // the window is that certificate's
		next = next.moved(u.window)
	}
	if next == cur {
		return false, err
	}
	s.install(next, now)
	s.logChange(cur, next, revoked)
	return revoked || next.trust != cur.trust, err
}

// logChange says what a poll has changed.
func (s *Source) logChange(cur, next *snapshot, revoked bool) {
	if next.trust != cur.trust {
		s.log.Info("trust bundle adopted", "spiffe_id", next.id, "bundle_sequence", next.trust.sequence, "roots", len(next.trust.roots))
	}
	if revoked {
		s.log.Info("revocations learned", "spiffe_id", next.id, "revocation_sequence", next.revoked.cursor(),
			"certificates", next.revoked.count(), "authorities", len(next.revoked.authorities))
	}
	if next.withdrawn != nil && cur.withdrawn == nil {
		s.log.Error("own certificate is revoked", "spiffe_id", next.id, "serial", next.serial(), "error", next.withdrawn)
	}
	if !next.window.start.Equal(cur.window.start) {
		s.log.Info("renewal window moved", "spiffe_id", next.id, "serial", next.serial(), "renewal_due", next.window.start)
	}
}

// refusedAsRevoked takes in that the CA has refused a certificate as revoked,
// which may be known before the list says so.
func (s *Source) refusedAsRevoked(refused *snapshot, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cur := s.snapshot.Load()
	if cur.leaf() != refused.leaf() || cur.dead(now) {
		return
	}
	next := cur.knowing(cur.revoked.plus(cur.leaf(), now), now)
	s.install(next, now)
	s.logChange(cur, next, false)
}

// install is the one place that stores a snapshot. The caller holds mu, and has derived
// next from the snapshot that it replaces.
func (s *Source) install(next *snapshot, now time.Time) {
	cur := s.snapshot.Load()
	s.snapshot.Store(next)
	certificate := cur.leaf() != next.leaf()
	roots := cur.trust != next.trust
	withdrawn := (cur.withdrawn == nil) != (next.withdrawn == nil)
	if roots && next.trust.learned {
		s.bundleUpdated = now
	}
	if certificate && s.interrupt != nil {
		s.interrupt()
	}
	if certificate || roots || withdrawn {
		st := s.status()
		for ch := range s.watchers {
			offer(ch, st)
		}
		s.notifier.changed(cur, next, st)
	}
	if roots || cur.revoked != next.revoked {
		signal(s.recheck)
	}
	if !cur.held() && next.held() {
		close(s.ready)
	}
	signal(s.wake)
	signal(s.unsaved)
}

// signal leaves a message in ch unless there is one.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
