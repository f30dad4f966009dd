package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// webHost is where a Listener is in the memory network.
const webHost = "web.test:443"

// protocols are what HTTP may be spoken in.
var protocols = map[string][]string{"HTTP/1.1": {"http/1.1"}, "HTTP/2.0": {"h2", "http/1.1"}}

// serveHTTP serves on l until the test is over. A path of "/stream" never ends.
func serveHTTP(t *testing.T, l net.Listener) (address string) {
	server := &http.Server{
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
		Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			id, err := PeerID(r.TLS)
			fmt.Fprintf(rw, "%s %s %v", r.Proto, id.Path(), err)
			http.NewResponseController(rw).Flush()
			if r.URL.Path == "/stream" {
				<-r.Context().Done()
			}
		}),
	}
	var group sync.WaitGroup
	group.Go(func() { server.Serve(l) })
	t.Cleanup(func() {
		server.Close()
		group.Wait()
	})
	return l.Addr().String()
}

// browser is an HTTP client over a Dialer, which counts connections.
type browser struct {
	http.Client
	dials atomic.Int64
}

func browse(t *testing.T, from *Source, cfg DialerConfig) *browser {
	b := new(browser)
	cfg.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		b.dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	transport := &http.Transport{DialTLSContext: from.Dialer(cfg).DialContext, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	b.Transport = transport
	return b
}

// fetch returns an error unless the page is as wanted.
func (b *browser) fetch(address, want string) error {
	response, err := b.Get("https://" + address + "/")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && string(body) != want {
		err = fmt.Errorf("body %q, want %q", body, want)
	}
	return err
}

func listenOn(s *Source, cfg ListenerConfig) *Listener {
	return s.Listener(must(net.Listen("tcp", "127.0.0.1:0")), cfg)
}

// soon waits until f is true, for a second of the real clock.
func soon(f func() bool) bool {
	for until := time.Now().Add(time.Second); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			return false
		}
	}
	return true
}

func TestOpenConnectionsOfAListenerAreClosedWhenThePeer(t *testing.T) {
	for event, happens := range distrust() {
		for proto, nextProtos := range protocols {
			t.Run(event+", "+proto, func(t *testing.T) {
				g := newGuarded()
				address := serveHTTP(t, listenOn(g.here, ListenerConfig{Authorize: AuthorizeTrustDomain(g.here.TrustDomain()), NextProtos: nextProtos}))
				cfg := DialerConfig{Authorize: AuthorizeID(g.here.ID()), NextProtos: nextProtos}
				bad, healthy := browse(t, g.bad, cfg), browse(t, g.healthy, cfg)
				for range 2 {
					if err := errors.Join(bad.fetch(address, proto+" /bad <nil>"), healthy.fetch(address, proto+" /healthy <nil>")); err != nil {
						t.Fatal(err)
					}
				}
				if open, dials := len(g.here.guard.open()), bad.dials.Load()+healthy.dials.Load(); open != 2 || dials != 2 {
					t.Fatalf("%d connections open after %d dials", open, dials)
				}
				g.happen(t, happens)
				if open := len(g.here.guard.open()); open != 1 || !soon(func() bool { return len(g.bad.guard.open()) == 0 }) {
					t.Fatalf("%d connections open here, %d at the bad peer's", open, len(g.bad.guard.open()))
				}
				if err := healthy.fetch(address, proto+" /healthy <nil>"); err != nil || healthy.dials.Load() != 1 {
					t.Errorf("the healthy peer: %v after %d dials", err, healthy.dials.Load())
				}
				if err := bad.fetch(address, ""); err == nil || bad.dials.Load() == 1 {
					t.Errorf("the bad peer: %v after %d dials", err, bad.dials.Load())
				}
			})
		}
	}
}

func TestOpenConnectionsOfADialerAreClosedWhenThePeer(t *testing.T) {
	for event, happens := range distrust() {
		for proto, nextProtos := range protocols {
			t.Run(event+", "+proto, func(t *testing.T) {
				g := newGuarded()
				listen := ListenerConfig{Authorize: AuthorizeID(g.here.ID()), NextProtos: nextProtos}
				badAt, healthyAt := serveHTTP(t, listenOn(g.bad, listen)), serveHTTP(t, listenOn(g.healthy, listen))
				b := browse(t, g.here, DialerConfig{Authorize: AuthorizePath(g.here.TrustDomain(), "/*"), NextProtos: nextProtos})
				if err := errors.Join(b.fetch(badAt, proto+" /web <nil>"), b.fetch(healthyAt, proto+" /web <nil>")); err != nil {
					t.Fatal(err)
				}
				stream, err := b.Get("https://" + badAt + "/stream")
				if err != nil {
					t.Fatal(err)
				}
				defer stream.Body.Close()
				wrapped := func(err error) bool { return errors.Is(err, ErrRevoked) == (event != "has a root that is gone") }
				g.happen(t, happens)
				if _, err := io.ReadAll(stream.Body); err == nil || !wrapped(err) {
					t.Errorf("the stream ended with: %v", err)
				}
				dials := b.dials.Load()
				if err := b.fetch(healthyAt, proto+" /web <nil>"); err != nil || b.dials.Load() != dials {
					t.Errorf("the healthy peer: %v after %d dials", err, b.dials.Load()-dials)
				}
				if err := b.fetch(badAt, ""); err == nil || !wrapped(err) || b.dials.Load() != dials+1 {
					t.Errorf("the bad peer: %v after %d dials", err, b.dials.Load()-dials)
				}
				if open := len(g.here.guard.open()); open != 1 {
					t.Errorf("%d connections open", open)
				}
			})
		}
	}
}

func TestSessionsAreResumedThroughListenerAndDialer(t *testing.T) {
	p := newPKI("example.org")
	server := fixed(rootsOf(1, p), p.identity(leafTemplate("spiffe://example.org/web", time.Hour)))
	client := fixed(rootsOf(1, p), p.identity(leafTemplate("spiffe://example.org/peer", time.Hour)))
	counted := new(tally)
	server.metrics = counted
	l := listenOn(server, ListenerConfig{Authorize: anyone})
	d := client.Dialer(DialerConfig{Authorize: anyone, SessionCache: tls.NewLRUClientSessionCache(1)})
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Write([]byte{1})
			conn.Close() // before anybody counts what is open
		}
	})
	defer group.Wait()
	defer l.Close()
	connect := func() (resumed bool, err error) {
		conn, err := d.DialContext(t.Context(), "tcp", l.Addr().String())
		if err == nil {
			defer conn.Close()
			_, err = io.ReadFull(conn, make([]byte, 1))
			resumed = conn.(*tls.Conn).ConnectionState().DidResume
		}
		return resumed, err
	}
	for i, want := range []bool{false, true} {
		if resumed, err := connect(); resumed != want || err != nil {
			t.Fatalf("connection %d: resumed %t, %v", i, resumed, err)
		}
	}
	server.knowing([]*x509.Certificate{client.snapshot.Load().leaf()})
	if _, err := connect(); err == nil {
		t.Error("resumed after a revocation")
	}
	l.Close()
	if diff := cmp.Diff([]Reason{"", "", ReasonRevoked}, counted.reasons(SideServer)); diff != "" {
		t.Errorf("handshakes (-want +got):\n%s", diff)
	}
	if open := len(server.guard.open()) + len(client.guard.open()); open != 0 {
		t.Errorf("%d connections are still known", open)
	}
}

func TestANilAuthorizerPanicsInListenerAndDialerToo(t *testing.T) {
	p := newPKI("example.org")
	s := fixed(rootsOf(1, p), p.identity(leafTemplate("spiffe://example.org/web", time.Hour)))
	for name, make := range map[string]func(){
		"listener": func() { s.Listener(nil, ListenerConfig{}) }, "dialer": func() { s.Dialer(DialerConfig{}) },
	} {
		if got := panicOf(make); got == "" {
			t.Errorf("%s: no panic", name)
		}
	}
}

func TestAListenerOverNothingIsClosed(t *testing.T) {
	l := newGuarded().here.Listener(nil, ListenerConfig{Authorize: anyone})
	if conn, err := l.Accept(); !errors.Is(err, net.ErrClosed) || conn != nil {
		t.Errorf("Accept: %v, %v", conn, err)
	}
	if got := l.Addr().String(); got != "none" {
		t.Errorf("address %q", got)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
