package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// errTooOld is why a connection is closed that has reached its maximum age.
var errTooOld = errors.New("connection has reached its maximum age")

// guard knows the connections of a Source that are open, and closes those whose peer would
// be refused by now. To keep one costs an entry in a map, and no goroutine.
//
// A peer is entered before it is verified, and verified against the snapshot of then.
// Whoever replaces the snapshot looks at the entries afterwards. So each peer is either
// verified against the new snapshot or seen by the check that follows it.
//
// Plaintext connections are known too. They are entered before the mode is looked at, so
// that the same holds for whoever changes that.
type guard struct {
	mu    sync.Mutex
	peers map[*watched]presented
	plain map[*watched]bool
}

// presented is what a peer has shown. Immutable.
type presented struct {
	certs []*x509.Certificate // none: it is about to be refused
	usage x509.ExtKeyUsage
	at    time.Time           // of the handshake
	chain []*x509.Certificate // that counted then; nil: it is being verified
}

// enter notes what the peer of an open connection has shown; false if it is closed.
func (g *guard) enter(w *watched, p presented) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.closed {
		return false
	}
	if g.peers == nil {
		g.peers = make(map[*watched]presented)
	}
	g.peers[w] = p
	return true
}

// enterPlaintext notes an open plaintext connection; false if it is closed.
func (g *guard) enterPlaintext(w *watched) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.closed {
		return false
	}
	if g.plain == nil {
		g.plain = make(map[*watched]bool)
	}
	g.plain[w] = true
	return true
}

// plaintext returns the plaintext connections of now.
func (g *guard) plaintext() []*watched {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Collect(maps.Keys(g.plain))
}

// leave forgets a connection; what closes it says that it will not be entered again.
func (g *guard) leave(w *watched, closed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.peers, w)
	delete(g.plain, w)
	w.closed = w.closed || closed
}

// open returns the connections of now.
func (g *guard) open() map[*watched]presented {
	g.mu.Lock()
	defer g.mu.Unlock()
	peers := make(map[*watched]presented, len(g.peers))
	for w, p := range g.peers {
		peers[w] = p
	}
	return peers
}

// watch checks the open connections whenever roots or revocations have changed, until ctx
// ends.
func (s *Source) watch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.recheck:
			s.check(ctx, s.snapshot.Load())
		}
	}
}

// check closes the connections whose peer does not pass any more. A certificate that is
// revoked is found without cryptography, so those come first.
func (s *Source) check(ctx context.Context, cur *snapshot) {
	peers := s.guard.open()
	shut := 0
	for _, passes := range []func(presented) error{cur.leafPasses, cur.passes} {
		for w, p := range peers {
			if ctx.Err() != nil {
				return
			}
			err := passes(p)
			if err == nil {
				continue
			}
			w.shut(fmt.Errorf("pando client: peer: %w", err))
			delete(peers, w)
			if shut++; shut == 1 {
				s.log.Info("closing connections whose peers are not trusted any more", "spiffe_id", cur.id, "first", err)
			}
		}
	}
	if shut > 0 {
		s.log.Info("connections closed", "spiffe_id", cur.id, "closed", shut, "left", len(peers))
	}
}

// leafPasses returns why a peer's certificate is revoked.
func (s *snapshot) leafPasses(p presented) error {
	if len(p.certs) == 0 {
		return nil // there is none to be revoked
	}
	return s.revoked.leaf(p.certs[0])
}

// passes returns why a peer that was let in would be refused by now. That its certificate
// has expired since is no reason: an open connection goes on while its peer renews. Whom to
// talk to (the Authorizer) was decided for the whole connection.
func (s *snapshot) passes(p presented) error {
	if n := len(p.chain); n > 0 && s.trust.holds(p.chain[n-1]) && s.revoked.above(p.chain) == nil {
		return s.leafPasses(p)
	}
	_, _, err := s.judge().verify(p.certs, p.usage, p.at)
	return err
}

// watched is a connection in plaintext, or the raw end of one under TLS. The guard can close
// it without asking TLS, which waits for handshakes and writes.
type watched struct {
	net.Conn
	source *Source
	maxAge time.Duration              // 0: none
	timer  atomic.Pointer[time.Timer] // that ends it when it is too old
	cause  atomic.Pointer[error]      // why it was shut
	closed bool                       // guarded by the guard's mu

	security Security                         // what it has once it is let in; fixed
	refused  func(now time.Time) error        // of plaintext: why it is not allowed at that moment
	shook    func(err error)                  // is told of the handshake; nil: whoever made it knows
	peer     atomic.Pointer[x509.Certificate] // of the other end, once it is let in

	ahead ahead // what was read of it to see what it is
}

// verifier is [Source.verifier] for this connection.
func (w *watched) verifier(usage x509.ExtKeyUsage, authorize Authorizer) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		g := &w.source.guard
		p := presented{certs: state.PeerCertificates, usage: usage, at: time.Now()}
		if !g.enter(w, p) {
			return net.ErrClosed
		}
		var err error
		p.chain, err = w.source.admit(&state, usage, authorize)
		if w.shook != nil {
			w.shook(err)
		}
		if err != nil {
			g.leave(w, false)
			return err
		}
		w.age()
		if !g.enter(w, p) {
			w.stopAge()
			return net.ErrClosed
		}
		w.peer.Store(p.certs[0])
		return nil
	}
}

// letIn is the same for a connection in plaintext. After an error it is to be closed. The time
// is that after it was entered: an override that ended a moment before has looked at the
// entries already.
func (w *watched) letIn() error {
	w.age()
	if !w.source.guard.enterPlaintext(w) {
		w.stopAge()
		return net.ErrClosed
	}
	return w.refused(time.Now())
}

// age ends the connection at its maximum age, give or take a tenth: those of a fleet that
// started at once do not all reconnect at once.
func (w *watched) age() {
	if w.maxAge <= 0 {
		return
	}
	after := w.maxAge - w.maxAge/10 + rand.N(w.maxAge/5+1) //nolint:gosec // jitter is no secret
	w.timer.Store(time.AfterFunc(after, func() { w.shut(fmt.Errorf("pando client: %w", errTooOld)) }))
}

func (w *watched) stopAge() {
	if timer := w.timer.Swap(nil); timer != nil {
		timer.Stop()
	}
}

// shut closes the connection. Whoever reads or writes it is told why.
func (w *watched) shut(cause error) {
	w.cause.CompareAndSwap(nil, &cause)
	w.Close()
}

// Close closes the connection for good.
func (w *watched) Close() error {
	w.source.guard.leave(w, true)
	w.stopAge()
	w.ahead.drop()
	return w.Conn.Close()
}

// CloseWrite ends what this side sends, as [net.TCPConn.CloseWrite] does. Servers of HTTP
// use it before they close a connection on which something is still coming.
func (w *watched) CloseWrite() error {
	if c, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		return w.told(c.CloseWrite())
	}
	return errors.ErrUnsupported
}

func (w *watched) Read(b []byte) (int, error) {
	if n := w.ahead.read(b); n > 0 {
		return n, nil
	}
	n, err := w.Conn.Read(b)
	return n, w.told(err)
}

func (w *watched) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	return n, w.told(err)
}

// told returns why the connection was shut instead of what came of it.
func (w *watched) told(err error) error {
	if cause := w.cause.Load(); err != nil && cause != nil {
		return *cause
	}
	return err
}
