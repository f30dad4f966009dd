package client

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"
)

// BenchmarkHandshake sets a full mutual handshake with the library's configurations beside
// one with what a program would write by hand for a certificate that never changes.
func BenchmarkHandshake(b *testing.B) {
	p := newPKI("example.org")
	template := leafTemplate("spiffe://example.org/web", time.Hour)
	template.DNSNames = []string{"web.test"}
	web := p.identity(template)
	peer := p.identity(leafTemplate("spiffe://example.org/peer", time.Hour))
	pool := x509.NewCertPool()
	pool.AddCert(p.root)
	server, client := fixed(rootsOf(1, p), web), fixed(rootsOf(1, p), peer)
	for name, config := range map[string]struct{ client, server *tls.Config }{
		"static": {
			&tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{peer}, RootCAs: pool, ServerName: "web.test"},
			&tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{web}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert},
		},
		"library": {
			named(client.ClientTLS(AuthorizeID(server.ID()))),
			server.ServerTLS(AuthorizeID(client.ID())),
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, clientErr, serverErr := handshake(config.client, config.server); clientErr != nil || serverErr != nil {
					b.Fatal(clientErr, serverErr)
				}
			}
		})
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
