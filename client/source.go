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
	log            *slog.Logger
	metrics        Metrics     // never nil
	pando          *pando      // used by one goroutine only: the one that obtains, then renews
	configured     *trust      // what first contact relies on
	want           spiffeid.ID // that is configured; zero: any
	presentExpired bool
	keeper         *keeper   // nil: there is no cache
	notifier       *notifier // nil: nobody is told

	snapshot atomic.Pointer[snapshot] // never nil; replaced by install only; without a certificate before ready
	wake     chan struct{}            // holds one when the snapshot was replaced since run looked
	recheck  chan struct{}            // holds one when trust or revocations were since watch looked
	unsaved  chan struct{}            // holds one when the snapshot was replaced since keeper looked
	guard    guard                    // the open connections
	modes    modes                    // of listeners and dialers
	cache    *cacheDir                // nil: none

	handshakes handshakeLog // those that failed

	ready     chan struct{} // closed by install, with the first identity
	stopped   chan struct{} // closed when there will be none
	stopCause error         // why; set before stopped is closed

	cancel context.CancelFunc // ends all goroutines
	group  sync.WaitGroup     // of them
	saved  sync.Once          // what was left to write when they had ended

	mu            sync.Mutex // guards what follows
	lastSuccess   time.Time
	lastFailure   time.Time
	lastError     error
	cacheError    error
	failures      int // since the last success
	bundleUpdated time.Time
	following     bool
	followError   error
	interrupt     context.CancelFunc // ends the poll of the certificate that is replaced; nil: there was none yet
	watchers      map[chan Status]func() bool
	closed        bool

	revocationsUpdated time.Time
}

// ID returns the SPIFFE ID of the workload. It does not change once the Source is ready; before
// that it is the configured one, or zero.
func (s *Source) ID() spiffeid.ID { return s.snapshot.Load().id }

// TrustDomain returns the trust domain of the workload and of every peer that it accepts. It
// is known from the start, and never changes.
func (s *Source) TrustDomain() spiffeid.TrustDomain { return s.snapshot.Load().trust.domain }

// Certificate returns the current certificate with its key, chain and parsed leaf, or an
// error that wraps [ErrNotReady], [ErrExpired] (see Config.PresentExpired) or [ErrRevoked]. It is
// shared: do not change it. It costs nothing and must not be kept, since it is replaced.
func (s *Source) Certificate() (*tls.Certificate, error) {
	cur := s.snapshot.Load()
	if err := s.live(cur, time.Now()); err != nil {
		return nil, err
	}
	return &cur.certificate, nil
}

// Roots returns the current roots of the trust domain as a new slice of shared
// certificates, for verifiers that do not take a [tls.Config]. Before the Source is ready they
// are those of the configuration or the cache; there is always one.
func (s *Source) Roots() []*x509.Certificate {
	roots := s.snapshot.Load().trust.roots
	return append(make([]*x509.Certificate, 0, len(roots)), roots...)
}

// live returns a clear error while there is no identity, and once it has expired or is revoked.
func (s *Source) live(cur *snapshot, now time.Time) error {
	switch {
	case !cur.held():
		return s.withCause(fmt.Errorf("pando client: %w", ErrNotReady))
	case cur.expired(now) && !s.presentExpired:
		return s.withCause(fmt.Errorf("pando client: %s: %w at %s", cur.id, ErrExpired, cur.leaf().NotAfter.UTC().Format(time.RFC3339)))
	case cur.withdrawn != nil:
		return s.withCause(fmt.Errorf("pando client: own %w", cur.withdrawn))
	}
	return nil
}

// withCause adds why the last try to obtain a certificate failed.
func (s *Source) withCause(err error) error {
	s.mu.Lock()
	cause := s.lastError
	s.mu.Unlock()
	if cause == nil {
		return err
	}
	return fmt.Errorf("%w; last cause: %w", err, cause)
}

// Close ends the start and the renewal, the poll of the trust, every watch, and the checks of
// open connections, writes to the cache what is not there yet, and returns when nothing of the Source is running any more. Connections stay
// open: they are their owners'. The TLS configurations keep working with the last identity
// until it expires, so that requests in flight can be drained. It never fails, and may be
// called again, but not by the functions of the Config, for which it waits.
func (s *Source) Close() error {
	s.cancel()
	s.group.Wait()
	if s.keeper != nil {
		s.saved.Do(func() { s.keeper.outcome(s.keeper.save()) })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for ch := range s.watchers {
		s.unwatch(ch)
	}
	return nil
}
