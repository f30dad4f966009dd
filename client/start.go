package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// Open obtains an identity and returns a Source that keeps it. It tries again, with
// growing pauses, until it succeeds, ctx ends, or the CA refuses in a way that trying again
// will not change ([ServerError.Final]); the error then names the last cause. ctx bounds
// only the start, and should have a deadline. With an identity in Config.CacheDir, or in
// Config.Certificate, it returns at once and asks nobody. The Source must be closed.
func Open(ctx context.Context, cfg Config) (*Source, error) {
	s, err := newSource(cfg)
	if err != nil {
		return nil, fmt.Errorf("pando client: %w", err)
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.start(running, cancel, func() error { return s.obtain(ctx, false) })
	select {
	case <-s.ready:
		return s, nil
	case <-s.stopped:
	}
	s.Close()
	return nil, fmt.Errorf("pando client: %w", s.stopCause)
}

// Start checks the configuration and returns a Source at once, for a program that has to
// start before there is an identity. It obtains one in the background: [Source.Ready] and
// [Source.Wait] say when. Until then handshakes fail with an error that wraps [ErrNotReady];
// each method says what else it does.
//
// A refusal that trying again will not change is no end, for somebody may make an entry, or
// renew the token in its file: it is tried again after pauses of up to 10 minutes. Only with
// Config.JoinToken, which cannot become another one, Start gives up then, as Wait and Status
// tell. The Source must be closed.
func Start(cfg Config) (*Source, error) {
	s, err := newSource(cfg)
	if err != nil {
		return nil, fmt.Errorf("pando client: %w", err)
	}
	running, cancel := context.WithCancel(context.Background())
	s.start(running, cancel, func() error { return s.obtain(running, true) })
	return s, nil
}

// newSource makes a Source of which nothing is running yet. It has an identity if there is
// one that was kept or given.
func newSource(cfg Config) (*Source, error) {
	set, err := cfg.resolve()
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if cfg.CacheDir != "" {
		if set.cache, err = openCacheDir(cfg.CacheDir); err != nil {
			return nil, fmt.Errorf("cache: %w", err)
		}
	}
	s := &Source{
		log: set.log, metrics: set.metrics, pando: set.pando, cache: set.cache, configured: set.trust, want: set.want, presentExpired: cfg.PresentExpired,
		ready: make(chan struct{}), stopped: make(chan struct{}),
		wake: make(chan struct{}, 1), recheck: make(chan struct{}, 1), unsaved: make(chan struct{}, 1),
		watchers: make(map[chan Status]func() bool),
	}
	if cfg.Notify != nil {
		s.notifier = newNotifier(cfg.Notify, set.log)
	}
	now := time.Now()
	kept := s.recall(set, now)
	if set.cache != nil {
		s.keeper = &keeper{source: s, cache: set.cache, anchor: anchorOf(set.trust), state: kept.text}
	}
	if err := s.begin(set, kept, cfg.Certificate, now); err != nil {
		return nil, err
	}
	if s.snapshot.Load().held() {
		s.restorePolicy(now)
	}
	return s, nil
}

// begin takes up the identity that was kept or given. There need not be one, unless there
// is nothing to enrol with.
func (s *Source) begin(set *settings, kept recalled, given *tls.Certificate, now time.Time) error {
	pending := &snapshot{id: set.want, trust: set.trust, revoked: kept.revoked}
	if kept.trust != nil {
		pending.trust = kept.trust
	}
	s.snapshot.Store(pending)
	s.bundleUpdated, s.revocationsUpdated = kept.bundleUpdated, kept.revocationsUpdated
	first, err := kept.first, kept.err
	if given != nil {
		existing, givenErr := adoptExisting(pending.trust, given, set.want, now)
		if givenErr == nil && kept.revoked != nil {
			givenErr = existing.knowing(kept.revoked, now).withdrawn
		}
		switch {
		case givenErr != nil:
			s.log.Warn("existing certificate is of no use", "error", givenErr)
			err = fmt.Errorf("existing certificate: %w", givenErr)
		case first == nil || existing.replaces(first):
			return s.renewed(existing)
		}
	}
	switch {
	case first != nil:
		s.takeUp(first, kept.obtained, now)
		s.keeper.serial = first.serial()
	case set.pando.credential.read == nil:
		return fmt.Errorf("nothing to enrol with: %w", err)
	}
	return nil
}

// replaces reports whether a certificate that was given counts rather than the one that was
// kept: it is for somebody else now, or was issued later.
func (s *snapshot) replaces(kept *snapshot) bool {
	return s.id != kept.id || s.leaf().NotBefore.After(kept.leaf().NotBefore)
}

// takeUp makes an identity of the cache the one of every handshake.
func (s *Source) takeUp(first *snapshot, obtained, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastSuccess = obtained
	s.install(first, now)
	s.log.Info("identity taken from the cache", "spiffe_id", first.id, "serial", first.serial(), "not_after", first.leaf().NotAfter,
		"renewal_due", first.window.start, "bundle_sequence", first.trust.sequence)
}

// adoptExisting makes a snapshot of a certificate that is not from this process. Its
// renewal window is not known, and its successor brings the bundle: it is due at once.
func adoptExisting(t *trust, existing *tls.Certificate, want spiffeid.ID, now time.Time) (*snapshot, error) {
	var chain []*x509.Certificate
	for _, der := range existing.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		chain = append(chain, cert)
	}
	s, err := adopt(t, chain, existing.PrivateKey, want, now)
	if err != nil {
		return nil, err
	}
	s.window = window{start: now, end: now} // and told stays zero
	return s, nil
}

// start starts what belongs to the Source. obtain is how it gets its first identity.
func (s *Source) start(ctx context.Context, cancel context.CancelFunc, obtain func() error) {
	s.cancel = cancel
	if s.notifier != nil {
		s.group.Go(func() { s.notifier.run(ctx) })
	}
	if s.keeper != nil {
		s.group.Go(func() { s.keeper.run(ctx) })
	}
	s.group.Go(func() {
		if !s.snapshot.Load().held() {
			if err := obtain(); err != nil {
				s.stopCause = err
				close(s.stopped)
				return
			}
			s.restorePolicy(time.Now()) // now it is known whose it is
		}
		f := newFollower(s, s.pando)
		s.group.Go(func() { f.run(ctx) })
		s.group.Go(func() { s.watch(ctx) })
		s.run(ctx)
	})
}

// obtain enrols until there is an identity, or returns why that will not be. Whoever is
// patient goes on after a refusal if what is shown to the CA may become another.
func (s *Source) obtain(ctx context.Context, patient bool) error {
	var last error
	for {
		first, err := s.enrolFirst(ctx)
		if err == nil {
			_, err = first.succeeding(s.snapshot.Load()) // or renewed would fail after a success was told
		}
		if ctx.Err() == nil {
			s.pando.attempted(err) // before Open returns
		}
		if err == nil {
			err = s.renewed(first)
		}
		if err == nil {
			return nil
		}
		failures := 1
		if ctx.Err() == nil || last == nil {
			last = err // a try that the end of ctx cut short says less than the one before
			failures = s.noteFailure(err, time.Now())
		}
		limit := maxBackoff
		if isFinal(err) {
			if !patient || s.pando.credential.fixed {
				s.log.Error("enrolment was refused, giving up", "error", err)
				return err
			}
			limit = refusedPause
		}
		delay := backoff(failures, limit, err)
		if ctx.Err() == nil {
			s.log.Warn("enrolment failed", "error", err, "failures", failures, "retry_in", delay)
		}
		if !sleep(ctx, delay) {
			return fmt.Errorf("no identity: %w; last cause: %w", context.Cause(ctx), last)
		}
	}
}

// enrolFirst enrols under the roots that are known. If those are of the cache and vouch for
// no server that answers, the CA may have been made anew, or restored from before they came
// up: then the configured roots count, as they would without a cache.
func (s *Source) enrolFirst(ctx context.Context) (*snapshot, error) {
	pending := s.snapshot.Load()
	first, err := s.pando.enrol(ctx, pending.stranger(), s.want)
	if err == nil || pending.trust == s.configured || !unvouched(err) {
		return first, err
	}
	first, again := s.pando.enrol(ctx, contact{trust: s.configured, revoked: pending.revoked}, s.want)
	if again != nil {
		return nil, also(err, again)
	}
	s.mu.Lock()
	given := *pending
	given.revoked = pending.revoked.anew() // the cursor is of the list of before
	s.install(&given, first.obtained)
	s.mu.Unlock()
	s.log.Warn("the roots of the cache are given up for those of the configuration", "cached_sequence", pending.trust.sequence,
		"bundle_sequence", first.trust.sequence, "error", err)
	return first, nil
}

// unvouched reports whether a certificate was shown that the roots do not vouch for.
func unvouched(err error) bool {
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &unknown) || errors.As(err, &invalid)
}

// Ready returns a channel that is closed once there is an identity, which is never taken
// back. After [Open] it is closed.
func (s *Source) Ready() <-chan struct{} { return s.ready }

// Wait returns nil once there is an identity, and otherwise why there is none: ctx ended,
// the Source was closed, or the CA has refused for good (see [Start]). The error wraps
// [ErrNotReady] and names the last cause.
func (s *Source) Wait(ctx context.Context) error {
	select {
	case <-s.ready:
		return nil
	default:
	}
	select {
	case <-s.ready:
		return nil
	case <-s.stopped:
		return fmt.Errorf("pando client: %w: %w", ErrNotReady, s.stopCause)
	case <-ctx.Done():
		return s.withCause(fmt.Errorf("pando client: %w: %w", ErrNotReady, context.Cause(ctx)))
	}
}
