package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// slowly is how long a request takes, so that there are always some under way.
const slowly = 25 * time.Second

// TestARotationOfTheRootFailsNoRequest keeps connections busy without a pause, as the root is
// prepared, activated and retired.
func TestARotationOfTheRootFailsNoRequest(t *testing.T) {
	for name, test := range map[string]struct {
		caller  func(w *world, s *Source, protos []string) http.RoundTripper
		renews  bool // the server has its clients renew connections
		failing bool // the proof that failures would be seen
	}{
		"over a Transport": {caller: func(w *world, s *Source, protos []string) http.RoundTripper {
			return s.Transport(TransportConfig{Dialer: DialerConfig{Authorize: anyone, NextProtos: protos, DialContext: w.net.DialContext}})
		}},
		"from a client that is asked to renew connections": {renews: true, caller: func(w *world, s *Source, protos []string) http.RoundTripper {
			config := s.ClientTLS(anyone)
			config.NextProtos = protos
			return &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DialContext: w.net.DialContext}
		}},
		"over connections that nobody renews": {failing: true, caller: func(w *world, s *Source, protos []string) http.RoundTripper {
			d := s.Dialer(DialerConfig{Authorize: anyone, NextProtos: protos, DialContext: w.net.DialContext})
			return &http.Transport{DialTLSContext: d.DialContext, ForceAttemptHTTP2: true}
		}},
	} {
		for proto, protos := range protocols {
			t.Run(name+", "+proto, func(t *testing.T) {
				inWorld(t, func(w *world) {
					r := &rotation{world: w, a: w.openAt(pandoHost, "jwt.a")}
					pass(7 * time.Minute)
					r.b = w.openAt(pandoHost, "jwt.b")
					l := newLoad(w, r.b, protos, test.renews)
					c := &http.Client{Transport: test.caller(w, r.a, protos)}
					l.start(c, proto, 3)
					r.rotate(false)
					l.stop(c)
					dials := len(w.net.timesOf(webHost))
					switch failed := l.failed.Load(); {
					case test.failing && failed == 0:
						t.Error("no request failed")
					case !test.failing && (failed > 0 || l.requests.Load() < 1000):
						t.Errorf("%d of %d requests failed, the first: %v", failed, l.requests.Load(), l.first.Load())
					case !test.failing && (dials < 3 || dials > 60):
						t.Errorf("%d connections", dials)
					}
				})
			})
		}
	}
}

// load is a server whose requests take long, and those who ask it.
type load struct {
	server           *http.Server
	serving, working sync.WaitGroup
	end              chan struct{} // closed when there is to be no further request

	requests, failed atomic.Int64
	first            atomic.Value
}

func newLoad(w *world, s *Source, protos []string, renews bool) *load {
	var handler http.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		time.Sleep(slowly)
		io.WriteString(rw, r.Proto)
	})
	if renews {
		handler = RenewConnections(handler)
	}
	l := &load{server: &http.Server{Handler: handler, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}, end: make(chan struct{})}
	inner := w.net.listen(webHost)
	l.serving.Go(func() { l.server.Serve(s.Listener(inner, ListenerConfig{Authorize: anyone, NextProtos: protos})) })
	return l
}

// start has n workers ask without a pause, not in step.
func (l *load) start(c *http.Client, proto string, n int) {
	for i := range n {
		l.working.Go(func() {
			time.Sleep(time.Duration(i) * slowly / time.Duration(n))
			for !l.ended() {
				l.requests.Add(1)
				if err := askOnce(c, proto); err != nil && l.failed.Add(1) == 1 {
					l.first.Store(err)
				}
			}
		})
	}
}

func (l *load) ended() bool {
	select {
	case <-l.end:
		return true
	default:
		return false
	}
}

func askOnce(c *http.Client, want string) error {
	// With a body, so that nobody asks again for us.
	response, err := c.Post("https://"+webHost+"/", "text/plain", strings.NewReader("a question"))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && string(body) != want {
		err = errors.New("answered in " + string(body))
	}
	return err
}

func (l *load) stop(c *http.Client) {
	close(l.end)
	l.working.Wait()
	c.CloseIdleConnections()
	l.server.Close()
	l.serving.Wait()
}

// timesOf is how often an address was dialled.
func (m *memory) timesOf(address string) (times []time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, dialled := range m.dials {
		if dialled == address {
			times = append(times, m.dialled[i])
		}
	}
	return times
}

func TestAnHTTPClientSpeaksTheBestHTTPThatTheServerDoes(t *testing.T) {
	for proto, protos := range protocols {
		t.Run(proto, func(t *testing.T) {
			g := newGuarded()
			address := serveHTTP(t, listenOn(g.here, ListenerConfig{Authorize: AuthorizeID(g.healthy.ID()), NextProtos: protos}))
			c := browser{Client: *g.healthy.HTTPClient(AuthorizeID(g.here.ID()))}
			defer c.CloseIdleConnections()
			for range 3 {
				if err := c.fetch(address, proto+" /healthy <nil>"); err != nil {
					t.Fatal(err)
				}
			}
			if open := len(g.healthy.guard.open()); open != 1 {
				t.Errorf("%d connections are watched", open)
			}
			stranger := browser{Client: *g.healthy.HTTPClient(AuthorizeID(g.bad.ID()))}
			if err := stranger.fetch(address, ""); !errors.Is(err, errNotAllowed) {
				t.Errorf("another server than the one that is meant: %v", err)
			}
		})
	}
}

func TestATransportHasNewConnectionsWithANewCertificate(t *testing.T) {
	for event, happens := range map[string]struct {
		change func(g *guarded)
		again  bool
	}{
		"nothing":         {func(*guarded) {}, false},
		"new revocations": {func(g *guarded) { g.healthy.knowing(nil, newPKI("example.org").root) }, false},
		"new roots": {func(g *guarded) {
			g.healthy.snapshot.Store(must(g.healthy.snapshot.Load().under(rootsOf(9, g.good), time.Now())))
		}, false},
		"a new certificate": {func(g *guarded) {
			cert := g.good.identity(leafTemplate("spiffe://example.org/healthy", time.Hour))
			g.healthy.snapshot.Store(fixedSnapshot(rootsOf(9, g.good), cert))
		}, true},
	} {
		t.Run(event, func(t *testing.T) {
			g := newGuarded()
			address := serveHTTP(t, listenOn(g.here, ListenerConfig{Authorize: anyone}))
			transport := g.healthy.Transport(TransportConfig{Dialer: DialerConfig{Authorize: anyone}})
			c := browser{Client: http.Client{Transport: transport}}
			defer c.CloseIdleConnections()
			stream, err := c.Get("https://" + address + "/stream")
			if err != nil {
				t.Fatal(err)
			}
			defer stream.Body.Close()
			if err := c.fetch(address, "HTTP/1.1 /healthy <nil>"); err != nil {
				t.Fatal(err)
			}
			before := transport.pool.Load()
			happens.change(g)
			if err := c.fetch(address, "HTTP/1.1 /healthy <nil>"); err != nil {
				t.Fatal(err)
			}
			if again := transport.pool.Load() != before; again != happens.again {
				t.Errorf("new connections: %t", again)
			}
			// The one that is idle is replaced, and the one that is in use stays.
			if !soon(func() bool { return len(g.here.guard.open()) == 2 }) {
				t.Errorf("%d connections are open", len(g.here.guard.open()))
			}
		})
	}
}

func TestATransportDoesNotTalkInPlaintextNorThroughProxies(t *testing.T) {
	var asked atomic.Int64
	plain := must(net.Listen("tcp", "127.0.0.1:0"))
	eavesdropper := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) })}
	var group sync.WaitGroup
	group.Go(func() { eavesdropper.Serve(plain) })
	defer group.Wait()
	defer eavesdropper.Close()
	t.Setenv("HTTPS_PROXY", "http://"+plain.Addr().String())
	proxy := http.ProxyURL(must(url.Parse("http://" + plain.Addr().String())))
	settings := &http.Transport{
		Proxy: proxy, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DialContext: (&net.Dialer{}).DialContext,
		DialTLSContext: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("the wrong dialer") },
	}
	g := newGuarded()
	mux := http.NewServeMux()
	mux.Handle("/away", http.RedirectHandler("http://"+plain.Addr().String(), http.StatusFound))
	server := &http.Server{Handler: mux}
	inner := listenOn(g.here, ListenerConfig{Authorize: anyone, NextProtos: []string{"h2"}})
	group.Go(func() { server.Serve(inner) })
	defer server.Close()
	c := &http.Client{Transport: g.healthy.Transport(TransportConfig{Dialer: DialerConfig{Authorize: anyone}, Settings: settings})}
	defer c.CloseIdleConnections()
	for name, address := range map[string]string{
		"http": "http://" + plain.Addr().String(), "a redirect to http": "https://" + inner.Addr().String() + "/away",
	} {
		response, err := c.Get(address)
		if err == nil {
			response.Body.Close()
		}
		if !errors.Is(err, errPlain) {
			t.Errorf("%s: %v", name, err)
		}
	}
	response, err := c.Get("https://" + inner.Addr().String() + "/")
	if err != nil {
		t.Errorf("https, past the proxy: %v", err)
	} else {
		response.Body.Close()
	}
	if asked.Load() != 0 {
		t.Error("it was sent in plaintext")
	}
	if settings.Proxy == nil || settings.DialTLSContext == nil {
		t.Error("the settings were changed")
	}
}

func TestATransportPanicsWithoutAnAuthorizer(t *testing.T) {
	if got := panicOf(func() { newGuarded().here.HTTPClient(nil) }); !strings.Contains(got, "nil Authorizer") {
		t.Errorf("panic %q", got)
	}
}

func TestAPoolLastsForHalfOfWhatIsLeftOfThePeersCertificate(t *testing.T) {
	inGuardedWorld(t, func(w *world, s, bad, healthy *Source) {
		l := newLoad(w, healthy, nil, false)
		transport := s.Transport(TransportConfig{Dialer: DialerConfig{Authorize: anyone, DialContext: w.net.DialContext}})
		c := &http.Client{Transport: transport}
		if err := askOnce(c, "HTTP/1.1"); err != nil {
			t.Fatal(err)
		}
		p := transport.pool.Load()
		left := healthy.snapshot.Load().leaf().NotAfter.Sub(time.Now().Add(-slowly))
		if until := p.until.Load(); until == nil || !until.Equal(time.Now().Add(-slowly+left/2)) {
			t.Errorf("until %v, %s of the certificate were left", until, left)
		}
		if until := *p.until.Load(); !p.serves(s, until.Add(-1)) || p.serves(s, until) {
			t.Error("it does not end then")
		}
		l.stop(c)
	})
}

func TestClientsAreAskedToRenewConnectionsOnceTheirCertificateHasExpired(t *testing.T) {
	p := newPKI("example.org")
	shown := func(left time.Duration) *tls.ConnectionState {
		template := leafTemplate("spiffe://example.org/peer", time.Hour)
		template.NotAfter = time.Now().Add(left)
		return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{p.identity(template).Leaf}}
	}
	for name, test := range map[string]struct {
		state *tls.ConnectionState
		want  string
	}{
		"expired":                {shown(-time.Second), "close"},
		"good":                   {shown(time.Minute), ""},
		"none, as of a stranger": {&tls.ConnectionState{}, ""},
		"in plaintext":           {nil, ""},
	} {
		recorder := httptest.NewRecorder()
		request := httptest.NewRequest(http.MethodGet, "/", nil)
		request.TLS = test.state
		RenewConnections(http.NotFoundHandler()).ServeHTTP(recorder, request)
		if got := recorder.Header().Get("Connection"); got != test.want || recorder.Code != http.StatusNotFound {
			t.Errorf("%s: Connection %q, status %d", name, got, recorder.Code)
		}
	}
}
