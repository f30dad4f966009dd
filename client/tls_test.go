package client

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// fixed returns a Source that holds what a test gives it, and renews nothing.
func fixed(t *trust, cert tls.Certificate) *Source {
	s := &Source{watchers: make(map[chan Status]func() bool), log: slog.New(slog.DiscardHandler), metrics: nobody{}}
	s.snapshot.Store(fixedSnapshot(t, cert))
	return s
}

func fixedSnapshot(t *trust, cert tls.Certificate) *snapshot {
	id := must(spiffeid.FromCertificate(cert.Leaf))
	s := &snapshot{id: id, certificate: cert, trust: t}
	for _, der := range cert.Certificate {
		s.chain = append(s.chain, must(x509.ParseCertificate(der)))
	}
	return s
}

// rootsOf returns a trust of these roots.
func rootsOf(sequence uint64, pkis ...*pki) *trust {
	var roots []*x509.Certificate
	for _, p := range pkis {
		roots = append(roots, p.root)
	}
	t := must(newTrust(must(spiffeid.ParseTrustDomain("example.org")), roots))
	t.sequence = sequence
	return t
}

func mustID(s string) spiffeid.ID { return must(spiffeid.Parse(s)) }

func anyone(Peer) error { return nil }

// connect returns both ends of a connection with buffers, unlike a pipe: in a resumed
// session both sides write at once.
func connect() (here, there net.Conn) {
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	here = must(net.Dial("tcp", l.Addr().String()))
	return here, must(l.Accept())
}

// handshake runs one and exchanges a byte each way, so that both sides know the outcome of
// the other and the client has its session ticket.
func handshake(client, server *tls.Config) (state tls.ConnectionState, clientErr, serverErr error) {
	here, there := connect()
	return handshakeOver(here, there, client, server)
}

func handshakeOver(here, there net.Conn, client, server *tls.Config) (state tls.ConnectionState, clientErr, serverErr error) {
	defer here.Close()
	done := make(chan error, 1)
	go func() {
		defer there.Close()
		conn := tls.Server(there, server)
		err := conn.Handshake()
		if err == nil {
			_, err = conn.Write([]byte{1})
		}
		if err == nil {
			_, err = io.ReadFull(conn, make([]byte, 1))
		}
		done <- err
	}()
	conn := tls.Client(here, client)
	_, clientErr = io.ReadFull(conn, make([]byte, 1))
	if clientErr == nil {
		_, clientErr = conn.Write([]byte{1})
	} else {
		here.Close()
	}
	return conn.ConnectionState(), clientErr, <-done
}

func named(config *tls.Config) *tls.Config {
	config.ServerName = "somewhere.test" // no certificate has this name
	return config
}

func TestPeersAreRefusedByBothSides(t *testing.T) {
	good, evil := newPKI("example.org"), newPKI("example.org")
	leaf := func(p *pki, edit func(l *x509.Certificate)) tls.Certificate {
		template := leafTemplate("spiffe://example.org/peer", time.Hour)
		edit(template)
		return p.identity(template)
	}
	for name, test := range map[string]struct {
		peer tls.Certificate
		want string // empty: accepted
	}{
		"a good peer":               {leaf(good, func(*x509.Certificate) {}), ""},
		"a peer with DNS names":     {leaf(good, func(l *x509.Certificate) { l.DNSNames = []string{"peer.test"} }), ""},
		"another root":              {leaf(evil, func(*x509.Certificate) {}), "unknown authority"},
		"expired":                   {leaf(good, func(l *x509.Certificate) { l.NotAfter = time.Now().Add(-time.Second) }), "expired"},
		"not yet valid":             {leaf(good, func(l *x509.Certificate) { l.NotBefore = time.Now().Add(time.Minute) }), "not yet valid"},
		"two SPIFFE IDs":            {leaf(good, func(l *x509.Certificate) { l.URIs = append(l.URIs, l.URIs[0]) }), "2 URI SANs"},
		"no SPIFFE ID":              {leaf(good, func(l *x509.Certificate) { l.URIs = nil; l.DNSNames = []string{"somewhere.test"} }), "0 URI SANs"},
		"an authority's ID":         {leaf(good, func(l *x509.Certificate) { l.URIs[0].Path = "" }), "ID of an authority"},
		"another trust domain":      {leaf(good, func(l *x509.Certificate) { l.URIs[0].Host = "evil.org" }), "not in trust domain"},
		"a CA":                      {leaf(good, func(l *x509.Certificate) { l.IsCA, l.BasicConstraintsValid = true, true }), "that of a CA"},
		"a leaf that may sign":      {leaf(good, func(l *x509.Certificate) { l.KeyUsage |= x509.KeyUsageCertSign }), "CA"},
		"no digital signature":      {leaf(good, func(l *x509.Certificate) { l.KeyUsage = x509.KeyUsageKeyAgreement }), "digitalSignature"},
		"a usage of something else": {leaf(good, func(l *x509.Certificate) { l.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }), "key usage"},
		"an ID that is not allowed": {leaf(good, func(l *x509.Certificate) { l.URIs[0].Path = "/peer2" }), "not among those allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := fixed(rootsOf(1, good), good.identity(leafTemplate("spiffe://example.org/web", time.Hour)))
			allow := AuthorizeID(mustID("spiffe://example.org/peer"))
			peer := test.peer
			_, _, serverErr := handshake(
				&tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &peer, nil }},
				s.ServerTLS(allow))
			_, clientErr, _ := handshake(named(s.ClientTLS(allow)),
				&tls.Config{Certificates: []tls.Certificate{peer}, ClientAuth: tls.RequireAnyClientCert})
			for side, err := range map[string]error{"server": serverErr, "client": clientErr} {
				switch {
				case test.want == "" && err != nil:
					t.Errorf("%s: %v", side, err)
				case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
					t.Errorf("%s: error %v, want one with %q", side, err, test.want)
				}
			}
		})
	}
}

func TestTheUsageMustFitTheSide(t *testing.T) {
	p := newPKI("example.org")
	s := fixed(rootsOf(1, p), p.identity(leafTemplate("spiffe://example.org/web", time.Hour)))
	only := func(usage x509.ExtKeyUsage) *Source {
		template := leafTemplate("spiffe://example.org/peer", time.Hour)
		template.ExtKeyUsage = []x509.ExtKeyUsage{usage}
		return fixed(rootsOf(1, p), p.identity(template))
	}
	server, client := only(x509.ExtKeyUsageServerAuth), only(x509.ExtKeyUsageClientAuth)
	if _, _, err := handshake(server.ClientTLS(anyone), s.ServerTLS(anyone)); err == nil {
		t.Error("a server's certificate was accepted from a client")
	}
	if _, err, _ := handshake(s.ClientTLS(anyone), client.ServerTLS(anyone)); err == nil {
		t.Error("a client's certificate was accepted from a server")
	}
	if _, err, serverErr := handshake(client.ClientTLS(anyone), server.ServerTLS(anyone)); err != nil || serverErr != nil {
		t.Errorf("each on its own side: %v, %v", err, serverErr)
	}
}

func TestAPeerMustHaveACertificateAndTLS13(t *testing.T) {
	p := newPKI("example.org")
	s := fixed(rootsOf(1, p), p.identity(leafTemplate("spiffe://example.org/web", time.Hour)))
	if _, _, err := handshake(&tls.Config{InsecureSkipVerify: true}, s.ServerTLS(anyone)); err == nil {
		t.Error("a client without a certificate was accepted")
	}
	old := named(s.ClientTLS(anyone))
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if _, _, err := handshake(old, s.ServerTLS(anyone)); err == nil {
		t.Error("TLS 1.2 was accepted")
	}
}

func TestAnExpiredIdentityDoesNotShakeHands(t *testing.T) {
	p := newPKI("example.org")
	template := leafTemplate("spiffe://example.org/web", time.Hour)
	template.NotAfter = time.Now().Add(-time.Second)
	gone := fixed(rootsOf(1, p), p.identity(template))
	gone.lastError = errors.New("connection refused")
	peer := fixed(rootsOf(1, p), p.identity(leafTemplate("spiffe://example.org/peer", time.Hour)))
	_, clientErr, _ := handshake(gone.ClientTLS(anyone), peer.ServerTLS(anyone))
	_, _, serverErr := handshake(peer.ClientTLS(anyone), gone.ServerTLS(anyone))
	for side, err := range map[string]error{"client": clientErr, "server": serverErr} {
		if !errors.Is(err, ErrExpired) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%s: %v", side, err)
		}
	}
}

func TestHandshakesGoOnWhileIdentitiesAreSwapped(t *testing.T) {
	const swaps, workers, each = 400, 4, 500
	old, next := newPKI("example.org"), newPKI("example.org")
	both := rootsOf(1, old, next)
	server := fixed(both, old.identity(leafTemplate("spiffe://example.org/web", time.Hour)))
	client := fixed(both, old.identity(leafTemplate("spiffe://example.org/peer", time.Hour)))
	serverTLS := server.ServerTLS(AuthorizeID(mustID("spiffe://example.org/peer")))
	clientTLS := client.ClientTLS(AuthorizeID(mustID("spiffe://example.org/web")))

	// One swap each time that a share of the handshakes is done, so that they interleave
	// whatever the speed of the machine.
	var done atomic.Int64
	due := make(chan int, swaps)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for range each {
				if _, clientErr, serverErr := handshake(clientTLS, serverTLS); clientErr != nil || serverErr != nil {
					t.Errorf("handshake: %v, %v", clientErr, serverErr)
					return
				}
				if n := done.Add(1); n%(workers*each/swaps) == 0 {
					due <- int(n)
				}
			}
		})
	}
	var swapper sync.WaitGroup
	swapped := 0
	swapper.Go(func() {
		for n := range due {
			issuer := []*pki{old, next}[n/5%2]
			server.snapshot.Store(fixedSnapshot(both, issuer.identity(leafTemplate("spiffe://example.org/web", time.Hour))))
			client.snapshot.Store(fixedSnapshot(both, issuer.identity(leafTemplate("spiffe://example.org/peer", time.Hour))))
			swapped++
		}
	})
	group.Wait()
	close(due)
	swapper.Wait()
	if done.Load() != workers*each || swapped != swaps {
		t.Errorf("%d handshakes during %d swaps", done.Load(), swapped)
	}
}

func TestANilAuthorizerPanics(t *testing.T) {
	p := newPKI("example.org")
	s := fixed(rootsOf(1, p), p.identity(leafTemplate("spiffe://example.org/web", time.Hour)))
	for name, make := range map[string]func(Authorizer) *tls.Config{"server": s.ServerTLS, "client": s.ClientTLS} {
		if got := panicOf(func() { make(nil) }); !strings.Contains(got, "nil Authorizer") {
			t.Errorf("%s: panic %q", name, got)
		}
	}
}

func panicOf(f func()) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = v.(string)
		}
	}()
	f()
	return ""
}

func errText(err error) string {
	if err == nil {
		return "fine"
	}
	return err.Error()
}
