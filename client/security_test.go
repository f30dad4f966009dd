package client

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func discard() *log.Logger { return slog.NewLogLogger(slog.DiscardHandler, 0) }

// secure serves three pages on l until the test is over: one for everybody, one for mutual TLS, and
// one for the healthy peer.
func (g *guarded) secure(t *testing.T, l net.Listener) (address string) {
	mux := http.NewServeMux()
	tell := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, known := PeerFrom(r.Context())
		fmt.Fprintf(w, "%s %s %t %s", r.Proto, SecurityOf(r.Context()), known, peer.ID.Path())
	})
	mux.Handle("/", tell)
	mux.Handle("/mtls", RequireMTLS(tell))
	mux.Handle("/healthy", RequirePeer(AuthorizeID(g.healthy.ID()), tell))
	server := &http.Server{Handler: mux, ConnContext: ConnContext, ErrorLog: discard(), Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetHTTP2(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	var group sync.WaitGroup
	group.Go(func() { server.Serve(l) })
	t.Cleanup(func() {
		server.Close()
		group.Wait()
	})
	return l.Addr().String()
}

// TestOnePortServesEverybodyAsTheyCome has HTTP/1.1 and HTTP/2, each in plaintext and in mutual
// TLS, on one permissive port.
func TestOnePortServesEverybodyAsTheyCome(t *testing.T) {
	g := newGuarded()
	address := g.secure(t, listenOn(g.here, ListenerConfig{
		Mode: ModePermissive, Authorize: AuthorizeTrustDomain(g.here.TrustDomain()), NextProtos: []string{"h2", "http/1.1"},
	}))
	over := func(s *Source, protocols ...string) http.RoundTripper {
		d := s.Dialer(DialerConfig{Authorize: AuthorizeID(g.here.ID()), NextProtos: protocols})
		return &http.Transport{DialTLSContext: d.DialContext, ForceAttemptHTTP2: true}
	}
	h2c := &http.Transport{Protocols: new(http.Protocols)}
	h2c.Protocols.SetUnencryptedHTTP2(true)
	defer must(g.bad.Override(time.Hour, "drill"))()
	emergent := g.bad.Transport(TransportConfig{Dialer: DialerConfig{Authorize: AuthorizeID(g.here.ID()), AllowPlaintext: true}})
	for name, test := range map[string]struct {
		scheme    string
		transport http.RoundTripper
		want      [3]string // of the three pages; a number is a refusal
	}{
		"HTTP/1.1 in plaintext":  {"http", &http.Transport{}, [3]string{"HTTP/1.1 plaintext false ", "mtls_required", "mtls_required"}},
		"HTTP/2 in plaintext":    {"http", h2c, [3]string{"HTTP/2.0 plaintext false ", "mtls_required", "mtls_required"}},
		"HTTP/1.1 in mutual TLS": {"https", over(g.healthy, "http/1.1"), [3]string{"HTTP/1.1 mtls true /healthy", "HTTP/1.1 mtls true /healthy", "HTTP/1.1 mtls true /healthy"}},
		"HTTP/2 in mutual TLS":   {"https", over(g.healthy, "h2"), [3]string{"HTTP/2.0 mtls true /healthy", "HTTP/2.0 mtls true /healthy", "HTTP/2.0 mtls true /healthy"}},
		"an override":            {"https", emergent, [3]string{"HTTP/1.1 plaintext false ", "mtls_required", "mtls_required"}},
		"somebody else":          {"https", over(g.bad, "h2"), [3]string{"HTTP/2.0 mtls true /bad", "HTTP/2.0 mtls true /bad", "peer_not_allowed"}},
		"TLS and no certificate": {"https", &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, [3]string{"error", "error", "error"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := &http.Client{Transport: test.transport}
			defer c.CloseIdleConnections()
			var got [3]string
			for i, path := range []string{"/", "/mtls", "/healthy"} {
				got[i] = page(c, test.scheme+"://"+address+path)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("pages (-want +got):\n%s", diff)
			}
		})
	}
}

// page is the body of a page, the code of a refusal, or "error".
func page(c *http.Client, url string) string {
	response, err := c.Get(url)
	if err != nil {
		return "error"
	}
	defer response.Body.Close()
	body := must(io.ReadAll(response.Body))
	if response.StatusCode == http.StatusOK {
		return string(body)
	}
	var p problem
	if err := json.Unmarshal(body, &p); err != nil || response.StatusCode != http.StatusForbidden ||
		response.Header.Get("Content-Type") != "application/problem+json" || p.Detail == "" {
		return fmt.Sprintf("%s: %v: %s", response.Status, err, body)
	}
	return p.Code
}

func TestWhatIsNotKnownIsRefused(t *testing.T) {
	g := newGuarded()
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was let in") })
	leaf := g.healthy.snapshot.Load().leaf()
	shown := &tls.ConnectionState{PeerCertificates: g.healthy.snapshot.Load().chain, HandshakeComplete: true}
	pipe, _ := net.Pipe()
	defer pipe.Close()
	for name, ctx := range map[string]context.Context{
		"no ConnContext":               t.Context(),
		"a connection of others":       ConnContext(t.Context(), pipe),
		"TLS of others":                ConnContext(t.Context(), tls.Server(pipe, g.here.ServerTLS(anyone))),
		"no handshake yet":             ConnContext(t.Context(), g.here.Listener(nil, ListenerConfig{Authorize: anyone}).Server(pipe)),
		"no connection":                ConnContext(t.Context(), nil),
		"TLS in which nobody is known": ConnContext(t.Context(), &watched{Conn: pipe, source: g.here, security: SecurityTLS}),
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
			r.TLS = shown // it is not what is asked
			w := httptest.NewRecorder()
			RequireMTLS(next).ServeHTTP(w, r)
			if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "mtls_required") || strings.Contains(w.Body.String(), leaf.URIs[0].Path) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	if panicOf(func() { RequirePeer(nil, next) }) == "" {
		t.Error("no authorizer, and no panic")
	}
}

// wrapped is a connection that somebody has wrapped.
type wrapped struct {
	net.Conn
	inner net.Conn
}

func (w wrapped) NetConn() net.Conn { return w.inner }

func TestTheSecurityOfAConnection(t *testing.T) {
	inModes(t, func(m *moded) {
		_, accepted, stop := m.listen(ListenerConfig{Mode: ModePermissive})
		text := m.dial()
		io.WriteString(text, "x")
		plain := <-accepted
		secure := m.dial()
		greetOver(secure, named(m.healthy.ClientTLS(anyone)))
		mutual := <-accepted
		for name, test := range map[string]struct {
			conn net.Conn
			want Security
			peer string
		}{
			"plaintext":                 {plain, SecurityPlaintext, ""},
			"mutual TLS":                {mutual, SecurityMTLS, "/healthy"},
			"wrapped":                   {wrapped{mutual, mutual}, SecurityMTLS, "/healthy"},
			"wrapped twice":             {wrapped{nil, wrapped{nil, plain}}, SecurityPlaintext, ""},
			"of somebody else":          {text, "", ""},
			"wrapped, of somebody else": {wrapped{nil, text}, "", ""},
			"none":                      {nil, "", ""},
		} {
			security, peer := ConnSecurity(test.conn)
			if security != test.want || peer.ID.Path() != test.peer || (peer.Certificate != nil) != (test.peer != "") {
				t.Errorf("%s: %q, %s", name, security, peer.ID)
			}
		}
		text.Close()
		secure.Close()
		stop()
	})
}
