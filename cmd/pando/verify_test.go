package main

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca/catest"
)

// write puts data into a new file.
func write(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func pemOf(ders ...[]byte) []byte {
	var out []byte
	for _, der := range ders {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return out
}

func TestVerifyLooksAtRevocationLists(t *testing.T) {
	pki := catest.New(t, catest.Options{})
	leaf := pki.Issue(t, "spiffe://example.org/web", catest.Leaf{})
	chain, bundle := write(t, pemOf(leaf.Certificate...)), write(t, pemOf(pki.Set().Roots()[0].Raw))
	issuer, err := x509.ParseCertificate(leaf.Certificate[1])
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	list := func(next time.Time, revoked ...*big.Int) string {
		template := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: now.Add(-time.Hour), NextUpdate: next}
		for _, serial := range revoked {
			template.RevokedCertificateEntries = append(template.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: serial, RevocationTime: now.Add(-time.Minute)})
		}
		der, err := x509.CreateRevocationList(rand.Reader, template, issuer, pki.SetConfig().Authorities[1].Signer)
		if err != nil {
			t.Fatal(err)
		}
		return write(t, der)
	}
	for name, test := range map[string]struct {
		crl  string
		want string // in the detail; empty: accepted
	}{
		"one that does not hold it": {list(now.Add(time.Hour), big.NewInt(1)), ""},
		"one that holds it":         {list(now.Add(time.Hour), leaf.Leaf.SerialNumber), "was revoked at"},
		"one that is out of date":   {list(now.Add(-time.Minute)), "is in force from"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := runPando(t, "verify", chain, "--bundle", bundle, "--crl", test.crl)
			if accepted := code == exitOK; accepted != (test.want == "") || !strings.Contains(out, test.want) {
				t.Errorf("exit code %d, want %q: %s%s", code, test.want, out, errs)
			}
			if test.want != "" && !strings.Contains(out, "revoked") {
				t.Errorf("the reason is not revoked: %s", out)
			}
		})
	}
	other := catest.New(t, catest.Options{}).Issue(t, "spiffe://example.org/web", catest.Leaf{})
	if code, out, _ := runPando(t, "verify", write(t, pemOf(other.Certificate...)), "--bundle", bundle, "--crl", list(now.Add(time.Hour))); code == exitOK {
		t.Errorf("a certificate of another CA is accepted: %s", out)
	}
}

// TestProbeTellsWhatTheServerSays knocks at servers that refuse.
func TestProbeTellsWhatTheServerSays(t *testing.T) {
	pki, stranger := catest.New(t, catest.Options{}), catest.New(t, catest.Options{})
	server := pki.Issue(t, "spiffe://example.org/web", catest.Leaf{})
	bundle := write(t, pemOf(pki.Set().Roots()[0].Raw))
	foreign := stranger.Issue(t, "spiffe://example.org/db", catest.Leaf{})
	key, err := x509.MarshalPKCS8PrivateKey(foreign.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	identity := write(t, append(pemOf(foreign.Certificate...), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...))
	strict := &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: pki.RootPool(), ClientAuth: tls.RequireAndVerifyClientCert}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"a certificate of a root that it does not know": {[]string{"--certificate", identity}, "refused (unknown_authority)"},
		"no certificate where one is required":          {nil, "refused (no_client_cert)"},
	} {
		t.Run(name, func(t *testing.T) {
			address := answer(t, strict)
			code, out, errs := runPando(t, append([]string{"probe", address, "--bundle", bundle}, test.args...)...)
			if code != exitFailed || !strings.Contains(out, test.want) {
				t.Errorf("exit code %d, want %q: %s%s", code, test.want, out, errs)
			}
		})
	}
}

// answer makes one handshake at an address, and waits for the other side to go.
func answer(t *testing.T, cfg *tls.Config) string {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_ = conn.(*tls.Conn).Handshake() // its outcome is the other side's to tell
		_ = conn.Close()
	}()
	t.Cleanup(func() { _ = listener.Close(); <-done })
	return listener.Addr().String()
}

func FuzzParseMaterial(f *testing.F) {
	pki := catest.New(f, catest.Options{})
	leaf := pki.Issue(f, "spiffe://example.org/web", catest.Leaf{})
	f.Add(leaf.Certificate[0])
	f.Add(pemOf(leaf.Certificate...))
	f.Add([]byte(`{"keys":[{"use":"x509-svid","kty":"EC","x5c":["AAAA"]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseMaterial(data)
		if err != nil {
			return
		}
		if len(m.certificates) == 0 {
			t.Fatal("no error and no certificate")
		}
		inspection(m, time.Now())
	})
}
