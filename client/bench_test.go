package client

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"
)

// handshakes is the ways to shake hands that are compared: with what a program would write by
// hand for a certificate that never changes, and with what the library has.
type handshakes struct {
	server, client *Source
	static         ends
	library        ends
	watched        ends // a listener and a dialer
}

// ends returns a configuration for each of two ends of a connection, and what is over these.
type ends func(here, there net.Conn) (_, _ net.Conn, client, server *tls.Config)

func newHandshakes() *handshakes {
	p := newPKI("example.org")
	template := leafTemplate("spiffe://example.org/web", time.Hour)
	template.DNSNames = []string{"web.test"}
	web := p.identity(template)
	peer := p.identity(leafTemplate("spiffe://example.org/peer", time.Hour))
	pool := x509.NewCertPool()
	pool.AddCert(p.root)
	h := &handshakes{server: fixed(rootsOf(1, p), web), client: fixed(rootsOf(1, p), peer)}
	static := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{peer}, RootCAs: pool, ServerName: "web.test"}
	staticServer := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{web}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	h.static = func(here, there net.Conn) (_, _ net.Conn, c, s *tls.Config) { return here, there, static, staticServer }
	library, libraryServer := named(h.client.ClientTLS(AuthorizeID(h.server.ID()))), h.server.ServerTLS(AuthorizeID(h.client.ID()))
	h.library = func(here, there net.Conn) (_, _ net.Conn, c, s *tls.Config) {
		return here, there, library, libraryServer
	}
	listener := h.server.Listener(nil, ListenerConfig{Authorize: AuthorizeID(h.client.ID())})
	dialer := h.client.Dialer(DialerConfig{Authorize: AuthorizeID(h.server.ID())})
	h.watched = func(here, there net.Conn) (_, _ net.Conn, c, s *tls.Config) {
		w := &watched{Conn: here, source: h.client}
		return w, &watched{Conn: there, source: h.server}, dialer.config(w, webHost), listener.tls
	}
	return h
}

// knowing makes both sides know so many revoked certificates, and two revoked authorities.
func (h *handshakes) knowing(revoked int) {
	r := muchRevoked(revoked)
	for _, s := range []*Source{h.server, h.client} {
		next := *s.snapshot.Load()
		next.revoked = r
		s.snapshot.Store(&next)
	}
}

// shake makes one handshake and returns how long it took.
func (e ends) shake(tb testing.TB) time.Duration {
	here, there := connect()
	begun := time.Now()
	here, there, c, s := e(here, there)
	_, clientErr, serverErr := handshakeOver(here, there, c, s)
	took := time.Since(begun)
	if clientErr != nil || serverErr != nil {
		tb.Fatal(clientErr, serverErr)
	}
	return took
}

// BenchmarkHandshake sets full mutual handshakes of the library beside static ones. They take
// turns, in either order, so that whatever else goes on in the machine meets both, and medians are
// compared: x/static is the ratio.
func BenchmarkHandshake(b *testing.B) {
	for _, test := range []struct {
		name    string
		revoked int
		ends    func(h *handshakes) ends
	}{
		{"static", 0, func(h *handshakes) ends { return h.static }},
		{"library", 0, func(h *handshakes) ends { return h.library }},
		{"library, 1000000 revoked", 1_000_000, func(h *handshakes) ends { return h.library }},
		{"listener and dialer", 0, func(h *handshakes) ends { return h.watched }},
		{"listener and dialer, 1000000 revoked", 1_000_000, func(h *handshakes) ends { return h.watched }},
	} {
		b.Run(test.name, func(b *testing.B) {
			h := newHandshakes()
			h.knowing(test.revoked)
			measured := test.ends(h)
			var times, static []time.Duration
			for b.Loop() {
				if len(times)%2 == 0 {
					static = append(static, h.static.shake(b))
				}
				times = append(times, measured.shake(b))
				if len(static) < len(times) {
					static = append(static, h.static.shake(b))
				}
			}
			b.ReportMetric(0, "ns/op") // of both together
			b.ReportMetric(float64(median(times)), "ns/handshake")
			b.ReportMetric(float64(median(times))/float64(median(static)), "x/static")
		})
	}
}

func median(times []time.Duration) time.Duration {
	slices.Sort(times)
	return times[len(times)/2]
}

// muchRevoked is n certificates and two authorities; nil if n is 0.
func muchRevoked(n int) *revocations {
	if n == 0 {
		return nil
	}
	r, _, err := (*revocations)(nil).with(&revocationList{Serials: manySerials(n), Authorities: []keyID{{1}, {2}}}, time.Now())
	if err != nil {
		panic(err)
	}
	return r
}

// BenchmarkRevoked is what a handshake pays for revocation: the look-up of the leaf and of
// the authorities above it.
func BenchmarkRevoked(b *testing.B) {
	p := newPKI("example.org")
	leaf := p.identity(leafTemplate("spiffe://example.org/web", time.Hour)).Leaf
	chains := [][]*x509.Certificate{{leaf, p.issuer, p.root}}
	for _, n := range []int{0, 1000, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			r := muchRevoked(n)
			b.ReportAllocs()
			for b.Loop() {
				if r.leaf(leaf) != nil {
					b.Fatal("revoked")
				}
				if _, err := r.unbroken(chains); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCheck is a check of 10 000 open connections after another revocation, and after
// the removal of a root that none of them needs.
func BenchmarkCheck(b *testing.B) {
	p := newPKI("example.org")
	s := fixed(rootsOf(1, p), p.identity(leafTemplate("spiffe://example.org/web", time.Hour)))
	for range 10_000 {
		chain := []*x509.Certificate{s.snapshot.Load().leaf(), p.issuer, p.root}
		s.guard.enter(&watched{source: s}, presented{certs: chain[:2], usage: x509.ExtKeyUsageClientAuth, at: time.Now(), chain: chain})
	}
	next := *s.snapshot.Load()
	next.revoked, next.trust = muchRevoked(1_000_000), rootsOf(2, p)
	b.ReportAllocs()
	for b.Loop() {
		s.check(b.Context(), &next)
	}
	if n := len(s.guard.open()); n != 10_000 {
		b.Fatalf("%d are left", n)
	}
}

func BenchmarkIdentity(b *testing.B) {
	p := newPKI("example.org")
	s := fixed(rootsOf(1, p), p.identity(leafTemplate("spiffe://example.org/web", time.Hour)))
	b.ReportAllocs()
	for b.Loop() {
		if cert, err := s.Certificate(); err != nil || cert == nil || s.ID().IsZero() {
			b.Fatal(err)
		}
	}
}

func TestLookingUpTheIdentityAllocatesNothing(t *testing.T) {
	p := newPKI("example.org")
	s := fixed(rootsOf(1, p), p.identity(leafTemplate("spiffe://example.org/web", time.Hour)))
	allow := AuthorizeID(mustID("spiffe://example.org/a"), s.ID())
	if n := testing.AllocsPerRun(100, func() {
		if _, err := s.Certificate(); err != nil || s.TrustDomain().IsZero() || allow(Peer{ID: s.ID()}) != nil {
			t.Fatal("no identity")
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
