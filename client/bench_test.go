package client

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strconv"
	"testing"
	"time"
)

// BenchmarkHandshake sets a full mutual handshake with the library's configurations beside
// one with what a program would write by hand for a certificate that never changes. With
// revocations, both sides know so many and two revoked authorities.
func BenchmarkHandshake(b *testing.B) {
	p := newPKI("example.org")
	template := leafTemplate("spiffe://example.org/web", time.Hour)
	template.DNSNames = []string{"web.test"}
	web := p.identity(template)
	peer := p.identity(leafTemplate("spiffe://example.org/peer", time.Hour))
	pool := x509.NewCertPool()
	pool.AddCert(p.root)
	server, client := fixed(rootsOf(1, p), web), fixed(rootsOf(1, p), peer)
	library := func() (here, there net.Conn, c, s *tls.Config) {
		here, there = connect()
		return here, there, named(client.ClientTLS(AuthorizeID(server.ID()))), server.ServerTLS(AuthorizeID(client.ID()))
	}
	listener := server.Listener(nil, ListenerConfig{Authorize: AuthorizeID(client.ID())})
	dialer := client.Dialer(DialerConfig{Authorize: AuthorizeID(server.ID())})
	static := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{peer}, RootCAs: pool, ServerName: "web.test"}
	staticServer := &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{web}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	for _, test := range []struct {
		name    string
		revoked int
		ends    func() (here, there net.Conn, c, s *tls.Config)
	}{
		{"static", 0, func() (here, there net.Conn, c, s *tls.Config) {
			here, there = connect()
			return here, there, static, staticServer
		}},
		{"library", 0, library},
		{"library, 1000 revoked", 1000, library},
		{"library, 1000000 revoked", 1_000_000, library},
		{"listener and dialer, 1000000 revoked", 1_000_000, func() (_, _ net.Conn, c, s *tls.Config) {
			here, there := connect()
			w := &watched{Conn: here, source: client}
			return w, &watched{Conn: there, source: server}, named(dialer.config(w, webHost)), listener.tls
		}},
	} {
		b.Run(test.name, func(b *testing.B) {
			r := muchRevoked(test.revoked)
			for _, s := range []*Source{server, client} {
				next := *s.snapshot.Load()
				next.revoked = r
				s.snapshot.Store(&next)
			}
			b.ReportAllocs()
			for b.Loop() {
				here, there, c, s := test.ends()
				if _, clientErr, serverErr := handshakeOver(here, there, c, s); clientErr != nil || serverErr != nil {
					b.Fatal(clientErr, serverErr)
				}
				here.Close()
			}
		})
	}
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
