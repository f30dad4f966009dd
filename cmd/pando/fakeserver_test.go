package main

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
)

const serverID = "spiffe://example.org/pando/server"

// fakeServer is a REST door whose answers the test decides, with a real certificate.
type fakeServer struct {
	*httptest.Server
	pki *catest.CA
}

// newFakeServer starts a server that is id under pki.
func newFakeServer(t *testing.T, pki *catest.CA, id string, handler http.HandlerFunc) *fakeServer {
	t.Helper()
	certificate := pki.Issue(t, id, catest.Leaf{})
	s := httptest.NewUnstartedServer(handler)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what some tests want
	s.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequestClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	return &fakeServer{Server: s, pki: pki}
}

// rootsPEM is the trust bundle of a PKI.
func rootsPEM(pki *catest.CA) []byte {
	var out []byte
	for _, root := range pki.Set().Roots() {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})...)
	}
	return out
}

// chainPEM is a certificate with its intermediates.
func chainPEM(chain [][]byte) []byte {
	var out []byte
	for _, der := range chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return out
}

// writePair writes a certificate and its key and returns their paths.
func writePair(t *testing.T, dir, name string, pair tls.Certificate) (certificate, key string) {
	t.Helper()
	signer, ok := pair.PrivateKey.(crypto.Signer)
	if !ok {
		t.Fatalf("a %T cannot sign", pair.PrivateKey)
	}
	encoded, err := encodeKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, dir, name+".pem", chainPEM(pair.Certificate)), writeFile(t, dir, name+"-key.pem", encoded)
}

func writeFile(t *testing.T, dir, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// issue answers a CSR as the server would.
func issue(t *testing.T, pki *catest.CA, id string, csrDER []byte) *issuedJSON {
	t.Helper()
	csr, err := ca.ParseCSR(csrDER)
	if err != nil {
		t.Fatal(err)
	}
	pair := pki.Issue(t, id, catest.Leaf{Key: publicOnly{csr.PublicKey}})
	serial, ok := ca.SerialOf(pair.Leaf)
	if !ok {
		t.Fatal("the certificate has no serial number of ours")
	}
	middle := pair.Leaf.NotBefore.Add(pair.Leaf.NotAfter.Sub(pair.Leaf.NotBefore) / 2)
	return &issuedJSON{
		Serial: serial.String(), SPIFFEID: id, Profile: "workload",
		NotBefore: pair.Leaf.NotBefore, NotAfter: pair.Leaf.NotAfter,
		CertificateChain: string(bytes.TrimSpace(chainPEM(pair.Certificate))) + "\n",
		Renewal:          renewalJSON{Start: middle, End: middle.Add(5 * time.Minute)},
		Bundle:           bundleJSON{TrustDomain: "example.org", Sequence: 1, RefreshHint: 300, Roots: string(rootsPEM(pki))},
	}
}

// publicOnly stands in for a key of which the test PKI needs the public half only.
type publicOnly struct{ public crypto.PublicKey }

func (p publicOnly) Public() crypto.PublicKey { return p.public }

func (publicOnly) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("there is no private half")
}
