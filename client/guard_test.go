package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// guarded is a Source that trusts two roots, with a peer under either.
type guarded struct {
	here         *Source
	bad, healthy *Source
	good, doomed *pki // of here and the healthy peer, and of the bad one
}

func newGuarded() *guarded {
	g := &guarded{good: newPKI("example.org"), doomed: newPKI("example.org")}
	everything := rootsOf(8, g.good, g.doomed)
	g.here = fixed(everything, g.good.identity(leafTemplate("spiffe://example.org/web", time.Hour)))
	g.bad = fixed(everything, g.doomed.identity(leafTemplate("spiffe://example.org/bad", time.Hour)))
	g.healthy = fixed(everything, g.good.identity(leafTemplate("spiffe://example.org/healthy", time.Hour)))
	return g
}

// distrust is what may happen to the bad peer.
func distrust() map[string]func(g *guarded) {
	return map[string]func(g *guarded){
		"is revoked":           func(g *guarded) { g.here.knowing([]*x509.Certificate{g.bad.snapshot.Load().leaf()}) },
		"has a revoked issuer": func(g *guarded) { g.here.knowing(nil, g.doomed.issuer) },
		"has a revoked root":   func(g *guarded) { g.here.knowing(nil, g.doomed.root) },
		"has a root that is gone": func(g *guarded) {
			g.here.snapshot.Store(must(g.here.snapshot.Load().under(rootsOf(9, g.good), time.Now())))
		},
	}
}

// happen changes the snapshot and does what follows from it.
func (g *guarded) happen(t *testing.T, event func(*guarded)) {
	event(g)
	g.here.check(t.Context(), g.here.snapshot.Load())
}

// inGuardedWorld runs f with a Source that trusts two roots, and peers under either.
func inGuardedWorld(t *testing.T, f func(w *world, s, bad, healthy *Source)) {
	t.Helper()
	inWorld(t, func(w *world) {
		other := newPKI("example.org")
		w.sequence, w.roots = 8, []*x509.Certificate{w.root, other.root}
		s := w.open(nil)
		everything := rootsOf(8, w.pki, other)
		f(w, s, fixed(everything, other.identity(leafTemplate("spiffe://example.org/bad", 24*time.Hour))),
			fixed(everything, w.identity(leafTemplate("spiffe://example.org/healthy", 24*time.Hour))))
	})
}

func TestAnOpenConnectionIsClosedAtTheInstantThatThePeer(t *testing.T) {
	for event, happens := range map[string]func(w *world, bad *Source){
		"is revoked":              func(w *world, bad *Source) { w.revoke(bad.snapshot.Load().leaf()) },
		"has a revoked issuer":    func(w *world, bad *Source) { w.revokeAuthority(bad.snapshot.Load().chain[1]) },
		"has a root that is gone": func(w *world, _ *Source) { w.publish(9, w.root) },
	} {
		t.Run(event, func(t *testing.T) {
			inGuardedWorld(t, func(w *world, s, bad, healthy *Source) {
				_, badConn, err := pipeThrough(w, s, bad, ListenerConfig{Authorize: anyone})
				if err != nil {
					t.Fatal(err)
				}
				here, there, err := pipeThrough(w, s, healthy, ListenerConfig{Authorize: anyone})
				if err != nil {
					t.Fatal(err)
				}
				pass(time.Minute)
				if open := len(s.guard.open()); open != 2 {
					t.Fatalf("%d connections open", open)
				}
				happens(w, bad)
				synctest.Wait()
				if open := len(s.guard.open()); open != 1 {
					t.Errorf("%d connections open", open)
				}
				if _, err := badConn.Read(make([]byte, 1)); err == nil || errors.Is(err, ErrRevoked) != (event != "has a root that is gone") {
					t.Errorf("read: %v", err)
				}
				if err := exchangeByte(here, there); err != nil {
					t.Errorf("the healthy peer: %v", err)
				}
			})
		})
	}
}

func TestAConnectionOutlivesTheCertificatesThatItBeganWith(t *testing.T) {
	inGuardedWorld(t, func(w *world, s, _, healthy *Source) {
		here, there, err := pipeThrough(w, s, healthy, ListenerConfig{Authorize: anyone})
		if err != nil {
			t.Fatal(err)
		}
		pass(72 * time.Hour) // three lives of the peer's certificate
		w.publish(9, w.root)
		w.revoke(newPKI("example.org").sign(leafTemplate("spiffe://example.org/x", 24*time.Hour), newTestKey().Public())[0])
		synctest.Wait()
		if err := exchangeByte(here, there); err != nil || s.Status().BundleSequence != 9 {
			t.Errorf("exchange: %v", err)
		}
	})
}

func TestAConnectionIsClosedAtItsMaximumAge(t *testing.T) {
	inGuardedWorld(t, func(w *world, s, _, healthy *Source) {
		ages := make(map[time.Duration]bool)
		for range 10 {
			_, there, err := pipeThrough(w, s, healthy, ListenerConfig{Authorize: anyone, MaxConnectionAge: 10 * time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			if _, err := there.Read(make([]byte, 1)); !errors.Is(err, errTooOld) {
				t.Errorf("read: %v", err)
			}
			age := time.Since(begun)
			if age < 9*time.Minute || age > 11*time.Minute+1 {
				t.Errorf("age %s", age)
			}
			ages[age] = true
		}
		if len(ages) < 5 {
			t.Errorf("ages: %v", ages)
		}
	})
}

func TestCloseOfTheSourceLeavesConnectionsOpen(t *testing.T) {
	inGuardedWorld(t, func(w *world, s, bad, _ *Source) {
		here, there, err := pipeThrough(w, s, bad, ListenerConfig{Authorize: anyone})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		w.revoke(bad.snapshot.Load().leaf())
		pass(time.Hour)
		if err := exchangeByte(here, there); err != nil {
			t.Errorf("exchange: %v", err)
		}
		here.Close()
		there.Close()
		if open := len(s.guard.open()) + len(bad.guard.open()); open != 0 {
			t.Errorf("%d connections are still known", open)
		}
	})
}

// pipeThrough connects peer to s, and returns both ends after the handshake.
func pipeThrough(w *world, s, peer *Source, cfg ListenerConfig) (here, there net.Conn, err error) {
	l := s.Listener(w.net.listen(webHost), cfg)
	defer l.Close()
	type accepted struct {
		conn net.Conn
		err  error
	}
	done := make(chan accepted, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			err = conn.(*tls.Conn).Handshake()
		}
		done <- accepted{conn, err}
	}()
	d := peer.Dialer(DialerConfig{Authorize: AuthorizeID(s.ID()), DialContext: w.net.DialContext})
	here, err = d.DialContext(w.t.Context(), "tcp", webHost)
	if err != nil {
		return nil, nil, err
	}
	// The server's session ticket is under way until somebody reads.
	go here.Read(make([]byte, 1))
	a := <-done
	if a.err != nil {
		return nil, nil, a.err
	}
	_, err = a.conn.Write([]byte{1})
	w.t.Cleanup(func() { here.Close(); a.conn.Close() })
	return here, a.conn, err
}

func exchangeByte(here, there net.Conn) error {
	go there.Write([]byte{7})
	_, err := io.ReadFull(here, make([]byte, 1))
	return err
}

// loopback connects client to server over TCP with their Listener and Dialer.
func loopback(t *testing.T, server, client *Source, authorize Authorizer) (dial func() error, open func() int) {
	l := listenOn(server, ListenerConfig{Authorize: authorize})
	var group sync.WaitGroup
	var live atomic.Int64
	group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer conn.Close()
				if _, err := conn.Write([]byte{1}); err != nil {
					return
				}
				live.Add(1)
				defer live.Add(-1)
				io.Copy(io.Discard, conn)
			})
		}
	})
	d := client.Dialer(DialerConfig{Authorize: anyone, SessionCache: tls.NewLRUClientSessionCache(1)})
	var mu sync.Mutex
	var dialled []net.Conn
	t.Cleanup(func() {
		l.Close()
		for _, conn := range dialled {
			conn.Close()
		}
		group.Wait()
	})
	dial = func() error {
		conn, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			return err
		}
		mu.Lock()
		dialled = append(dialled, conn)
		mu.Unlock()
		_, err = io.ReadFull(conn, make([]byte, 1))
		return err
	}
	return dial, func() int { return int(live.Load()) }
}

// TestAPeerThatIsRevokedDuringItsHandshakeDoesNotSurvive installs the new snapshot at the
// worst moment: after the handshake has looked at the old one.
func TestAPeerThatIsRevokedDuringItsHandshakeDoesNotSurvive(t *testing.T) {
	p := newPKI("example.org")
	server := fixed(rootsOf(1, p), p.identity(leafTemplate("spiffe://example.org/web", time.Hour)))
	client := fixed(rootsOf(1, p), p.identity(leafTemplate("spiffe://example.org/peer", time.Hour)))
	dial, open := loopback(t, server, client, func(Peer) error {
		server.knowing([]*x509.Certificate{client.snapshot.Load().leaf()})
		server.check(context.Background(), server.snapshot.Load())
		return nil
	})
	if err := dial(); err == nil || open() != 0 || len(server.guard.open()) != 0 {
		t.Errorf("%v; %d connections open", err, open())
	}
}

func TestHandshakesRaceWithARevocation(t *testing.T) {
	p := newPKI("example.org")
	for range 20 {
		server := fixed(rootsOf(1, p), p.identity(leafTemplate("spiffe://example.org/web", time.Hour)))
		client := fixed(rootsOf(1, p), p.identity(leafTemplate("spiffe://example.org/peer", time.Hour)))
		server.recheck = make(chan struct{}, 1)
		ctx, cancel := context.WithCancel(t.Context())
		server.group.Go(func() { server.watch(ctx) })
		dial, open := loopback(t, server, client, anyone)
		var group sync.WaitGroup
		var refused atomic.Int64
		for range 4 {
			group.Go(func() {
				for range 10 {
					if dial() != nil {
						refused.Add(1)
					}
				}
			})
		}
		soon(func() bool { return open() > 3 })
		server.mu.Lock()
		next, _, _ := server.snapshot.Load().after(&revocationList{Sequence: 1, Serials: []serial{must2(serialOf(client.snapshot.Load().leaf()))}}, time.Now())
		server.install(next, time.Now())
		server.mu.Unlock()
		group.Wait()
		if !soon(func() bool { return open() == 0 }) || len(server.guard.open()) != 0 || refused.Load() == 0 {
			t.Fatalf("%d connections open, %d known, %d refused", open(), len(server.guard.open()), refused.Load())
		}
		cancel()
		server.group.Wait()
	}
}

func must2[T any](v T, ok bool) T {
	if !ok {
		panic("not ok")
	}
	return v
}

func TestAConnectionThatIsClosedTwiceIsForgotten(t *testing.T) {
	p := newPKI("example.org")
	s := fixed(rootsOf(1, p), p.identity(leafTemplate("spiffe://example.org/web", time.Hour)))
	here, there := net.Pipe()
	defer there.Close()
	w := &watched{Conn: here, source: s, maxAge: time.Hour}
	verify := w.verifier(x509.ExtKeyUsageClientAuth, anyone)
	state := tls.ConnectionState{PeerCertificates: s.snapshot.Load().chain}
	if err := verify(state); err != nil || len(s.guard.open()) != 1 || w.timer.Load() == nil {
		t.Fatalf("%v, %d known", err, len(s.guard.open()))
	}
	w.Close()
	w.Close()
	if len(s.guard.open()) != 0 || w.timer.Load() != nil {
		t.Errorf("%d known, timer %v", len(s.guard.open()), w.timer.Load())
	}
	// A handshake that is still under way does not bring it back.
	if err := verify(state); !errors.Is(err, net.ErrClosed) || len(s.guard.open()) != 0 || w.timer.Load() != nil {
		t.Errorf("%v, %d known", err, len(s.guard.open()))
	}
	if err := verify(tls.ConnectionState{}); err == nil {
		t.Error("no certificate was accepted")
	}
}
