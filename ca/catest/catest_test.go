package catest_test

import (
	"crypto/tls"
	"net"
	"testing"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
)

// TestIssuedCertificatesSpeakMutualTLS uses a PKI as its callers do.
func TestIssuedCertificatesSpeakMutualTLS(t *testing.T) {
	pki := catest.New(t, catest.Options{TrustDomain: "example.net"})
	server := &tls.Config{
		Certificates: []tls.Certificate{pki.Issue(t, "spiffe://example.net/server", catest.Leaf{DNSNames: []string{"server.example.net"}})},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: pki.RootPool(),
	}
	client := &tls.Config{
		Certificates: []tls.Certificate{pki.Issue(t, "spiffe://example.net/client", catest.Leaf{})},
		RootCAs:      pki.RootPool(), ServerName: "server.example.net",
	}
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	done := make(chan error, 1)
	go func() { done <- tls.Server(a, server).Handshake() }()
	conn := tls.Client(b, client)
	if err := conn.Handshake(); err != nil {
		t.Errorf("client: %v", err)
	}
	go conn.Read(make([]byte, 1)) // take the session tickets, which a pipe does not buffer
	if err := <-done; err != nil {
		t.Errorf("server: %v", err)
	}
}

func TestCSRIsAccepted(t *testing.T) {
	key, der := catest.CSR(t, ca.Ed25519, "spiffe://example.org/web", "web.example.org")
	csr, err := ca.ParseCSR(der)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := ca.HashPublicKey(key.Public())
	if err != nil || hash != csr.KeyHash {
		t.Errorf("the request is for another key, or %v", err)
	}
	if csr.ID.String() != "spiffe://example.org/web" || len(csr.DNSNames) != 1 {
		t.Errorf("names %s, %q", csr.ID, csr.DNSNames)
	}
}
