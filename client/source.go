package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// Source is the identity of a workload, renewed until it is closed. It is safe for
// concurrent use.
type Source struct {
	log   *slog.Logger
	pando *pando // used by Open, then by run only

	snapshot atomic.Pointer[snapshot] // never nil once Open returned; stored by install only
	wake     chan struct{}            // holds one when the snapshot was replaced since run looked
	recheck  chan struct{}            // holds one when trust or revocations were since watch looked
	guard    guard                    // the open connections

	cancel context.CancelFunc // ends run, follow and watch
	group  sync.WaitGroup     // of the three

	mu            sync.Mutex // guards what follows
	lastSuccess   time.Time
	lastFailure   time.Time
	lastError     error
	failures      int // since the last success
	bundleUpdated time.Time
	following     bool
	followError   error
	interrupt     context.CancelFunc // ends the poll of the certificate that is replaced; nil: there was none yet
	watchers      map[chan Status]func() bool
	closed        bool

	revocationsUpdated time.Time
}

// Open obtains an identity and returns a Source that keeps it. It tries again, with
// growing pauses, until it succeeds, ctx ends, or the CA refuses in a way that trying again
// will not change ([ServerError.Final]); the error then names the last cause. ctx bounds
// only the start, and should have a deadline. The Source must be closed.
func Open(ctx context.Context, cfg Config) (*Source, error) {
	set, err := cfg.resolve()
	if err != nil {
		return nil, fmt.Errorf("pando client: configuration: %w", err)
	}
	if cfg.CacheDir != "" {
		if set.cache, err = openCacheDir(cfg.CacheDir); err != nil {
			return nil, fmt.Errorf("pando client: cache: %w", err)
		}
	}
	s := &Source{
		log: set.log, pando: set.pando,
		wake: make(chan struct{}, 1), recheck: make(chan struct{}, 1), watchers: make(map[chan Status]func() bool),
	}
	first, err := s.start(ctx, set, cfg.Certificate)
	if err != nil {
		return nil, fmt.Errorf("pando client: %w", err)
	}
	if err := s.renewed(first); err != nil {
		return nil, fmt.Errorf("pando client: %w", err)
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	f := newFollower(s, set.pando)
	s.group.Go(func() { s.run(running) })
	s.group.Go(func() { f.run(running) })
	s.group.Go(func() { s.watch(running) })
	return s, nil
}

// start returns the first identity: the one that exists, or a new one.
func (s *Source) start(ctx context.Context, set *settings, existing *tls.Certificate) (*snapshot, error) {
	if existing != nil {
		first, err := adoptExisting(set.trust, existing, set.want, time.Now())
		if err == nil {
			return first, nil
		}
		err = fmt.Errorf("existing certificate: %w", err)
		if set.pando.credential.read == nil {
			return nil, err
		}
		s.log.Warn("existing certificate is of no use, enrolling", "error", err)
	}
	var last error
	for failures := 1; ; failures++ {
		first, err := s.pando.enrol(ctx, contact{trust: set.trust}, set.want)
		if ctx.Err() == nil {
			set.pando.attempted(err)
		}
		switch {
		case err == nil:
			return first, nil
		case isFinal(err):
			return nil, err
		case ctx.Err() == nil || last == nil:
			last = err // a try that the end of ctx cut short says less than the one before
		}
		delay := backoff(failures, maxBackoff, err)
		if ctx.Err() == nil {
			s.log.Warn("enrolment failed", "error", err, "failures", failures, "retry_in", delay)
		}
		if !sleep(ctx, delay) {
			return nil, fmt.Errorf("no identity: %w; last cause: %w", context.Cause(ctx), last)
		}
	}
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

// ID returns the SPIFFE ID of the workload. It does not change.
func (s *Source) ID() spiffeid.ID { return s.snapshot.Load().id }

// TrustDomain returns the trust domain of the workload and of every peer that it accepts.
func (s *Source) TrustDomain() spiffeid.TrustDomain { return s.snapshot.Load().trust.domain }

// Certificate returns the current certificate with its key, chain and parsed leaf, or an
// error that wraps [ErrExpired] or [ErrRevoked]. It is shared: do not change it. It costs nothing and must
// not be kept, since it is replaced.
func (s *Source) Certificate() (*tls.Certificate, error) {
	cur := s.snapshot.Load()
	if err := s.live(cur, time.Now()); err != nil {
		return nil, err
	}
	return &cur.certificate, nil
}

// Roots returns the current roots of the trust domain as a new slice of shared
// certificates, for verifiers that do not take a [tls.Config].
func (s *Source) Roots() []*x509.Certificate {
	roots := s.snapshot.Load().trust.roots
	return append(make([]*x509.Certificate, 0, len(roots)), roots...)
}

// live returns a clear error once the identity has expired or is revoked.
func (s *Source) live(cur *snapshot, now time.Time) error {
	var err error
	switch {
	case cur.expired(now):
		err = fmt.Errorf("pando client: %s: %w at %s", cur.id, ErrExpired, cur.leaf().NotAfter.UTC().Format(time.RFC3339))
	case cur.withdrawn != nil:
		err = fmt.Errorf("pando client: own %w", cur.withdrawn)
	default:
		return nil
	}
	s.mu.Lock()
	cause := s.lastError
	s.mu.Unlock()
	if cause != nil {
		err = fmt.Errorf("%w; last cause: %w", err, cause)
	}
	return err
}

// Close ends the renewal, the poll of the trust, every watch, and the checks of open
// connections, and returns when nothing of the Source is running any more. Connections stay
// open: they are their owners'. The TLS configurations keep working with the last identity
// until it expires, so that requests in flight can be drained. It never fails, and may be
// called again.
func (s *Source) Close() error {
	s.cancel()
	s.group.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for ch := range s.watchers {
		s.unwatch(ch)
	}
	return nil
}
