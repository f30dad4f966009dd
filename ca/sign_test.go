package ca_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/spiffeid"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func parseID(t testing.TB, text string) spiffeid.ID {
	t.Helper()
	id, err := spiffeid.Parse(text)
	check(t, err)
	return id
}

// workload is a good leaf of the default profile, issued at noon.
func workload(t testing.TB, pub crypto.PublicKey) ca.Leaf {
	t.Helper()
	return ca.Leaf{
		PublicKey:   pub,
		ID:          parseID(t, "spiffe://example.org/ns/prod/sa/web"),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore:   noon.Add(-time.Minute),
		NotAfter:    noon.Add(59 * time.Minute),
	}
}

func TestSignRefuses(t *testing.T) {
	pki := catest.New(t, catest.Options{Now: noon})
	key := catest.Key(t, ca.ECDSAP256).Public()
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	check(t, err)
	issuer := pki.Set().Issuer().Certificate()
	for name, spoil := range map[string]func(*ca.Leaf){
		"no key":                       func(l *ca.Leaf) { l.PublicKey = nil },
		"a weak key":                   func(l *ca.Leaf) { l.PublicKey = p224.Public() },
		"no SPIFFE ID":                 func(l *ca.Leaf) { l.ID = spiffeid.ID{} },
		"another trust domain":         func(l *ca.Leaf) { l.ID = parseID(t, "spiffe://example.com/web") },
		"a longer trust domain":        func(l *ca.Leaf) { l.ID = parseID(t, "spiffe://example.org.evil/web") },
		"the trust domain's own ID":    func(l *ca.Leaf) { l.ID = parseID(t, "spiffe://example.org") },
		"a DNS name with a NUL":        func(l *ca.Leaf) { l.DNSNames = []string{"a\x00.example.org"} },
		"a DNS name that is an IP":     func(l *ca.Leaf) { l.DNSNames = []string{"192.0.2.1"} },
		"a DNS name twice":             func(l *ca.Leaf) { l.DNSNames = []string{"a.example.org", "b.example.org", "a.example.org"} },
		"keyCertSign":                  func(l *ca.Leaf) { l.KeyUsage = x509.KeyUsageCertSign },
		"cRLSign beside another usage": func(l *ca.Leaf) { l.KeyUsage = x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature },
		"no extended key usage":        func(l *ca.Leaf) { l.ExtKeyUsage = nil },
		"serverAuth alone":             func(l *ca.Leaf) { l.ExtKeyUsage = l.ExtKeyUsage[:1] },
		"clientAuth alone":             func(l *ca.Leaf) { l.ExtKeyUsage = l.ExtKeyUsage[1:] },
		"anyExtendedKeyUsage":          func(l *ca.Leaf) { l.ExtKeyUsage = append(l.ExtKeyUsage, x509.ExtKeyUsageAny) },
		"OCSPSigning":                  func(l *ca.Leaf) { l.ExtKeyUsage = append(l.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) },
		"an unknown usage":             func(l *ca.Leaf) { l.ExtKeyUsage = append(l.ExtKeyUsage, 99) },
		"an organisation of 65":        func(l *ca.Leaf) { l.Organization = []string{string(bytes.Repeat([]byte("a"), 65))} },
		"an empty organisation":        func(l *ca.Leaf) { l.Organization = []string{""} },
		"two organisations":            func(l *ca.Leaf) { l.Organization = []string{"a", "b"} },
		"a newline in it":              func(l *ca.Leaf) { l.Organization = []string{"a\nb"} },
		"fractions of a second":        func(l *ca.Leaf) { l.NotBefore = l.NotBefore.Add(time.Millisecond) },
		"an empty period":              func(l *ca.Leaf) { l.NotAfter = l.NotBefore },
		"a negative period":            func(l *ca.Leaf) { l.NotAfter = l.NotBefore.Add(-time.Second) },
		"no period":                    func(l *ca.Leaf) { l.NotBefore, l.NotAfter = time.Time{}, time.Time{} },
		"the year 10000":               func(l *ca.Leaf) { l.NotAfter = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"an end after the issuer's":    func(l *ca.Leaf) { l.NotAfter = issuer.NotAfter.Add(time.Second) },
		"a start before the issuer's":  func(l *ca.Leaf) { l.NotBefore = issuer.NotBefore.Add(-time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			leaf := workload(t, key)
			spoil(&leaf)
			if cert, err := pki.Set().Issuer().Sign(leaf); err == nil {
				t.Errorf("signed %x", cert.Raw)
			}
		})
	}
}

func TestSignFillsTheIssuerToItsLastSecond(t *testing.T) {
	pki := catest.New(t, catest.Options{Now: noon})
	issuer := pki.Set().Issuer()
	leaf := workload(t, catest.Key(t, ca.ECDSAP256).Public())
	leaf.NotBefore, leaf.NotAfter = issuer.Certificate().NotBefore, issuer.Certificate().NotAfter
	cert, err := issuer.Sign(leaf)
	check(t, err)
	if !cert.Leaf.NotAfter.Equal(leaf.NotAfter) || !cert.Leaf.NotBefore.Equal(leaf.NotBefore) {
		t.Errorf("validity %s to %s was not kept", cert.Leaf.NotBefore, cert.Leaf.NotAfter)
	}
}

func TestSignDrawsADifferentSerialEachTime(t *testing.T) {
	issuer := catest.New(t, catest.Options{Now: noon}).Set().Issuer()
	leaf := workload(t, catest.Key(t, ca.ECDSAP256).Public())
	seen := make(map[ca.Serial]bool)
	for range 100 {
		cert, err := issuer.Sign(leaf)
		check(t, err)
		if again, ok := ca.SerialOf(cert.Leaf); !ok || again != cert.Serial {
			t.Fatalf("serial number %s in the certificate, %s beside it", again, cert.Serial)
		}
		if seen[cert.Serial] {
			t.Fatalf("serial number %s came twice", cert.Serial)
		}
		seen[cert.Serial] = true
	}
}

func TestSignReturnsTheChainWithoutTheRoot(t *testing.T) {
	pki := catest.New(t, catest.Options{Now: noon})
	issuer := pki.Set().Issuer()
	cert, err := issuer.Sign(workload(t, catest.Key(t, ca.ECDSAP256).Public()))
	check(t, err)
	want := [][]byte{cert.Raw, issuer.Certificate().Raw}
	if diff := cmp.Diff(want, cert.Chain); diff != "" {
		t.Errorf("chain (-want +got):\n%s", diff)
	}
	if cert.Issuer != issuer.ID() {
		t.Errorf("issuer %s, want %s", cert.Issuer, issuer.ID())
	}
}

// TestSignDropsWhatTheRequestAsksFor signs the key of a request that asks for a CA.
func TestSignDropsWhatTheRequestAsksFor(t *testing.T) {
	csr, err := ca.ParseCSR(testdata(t, "csr-asks-for-ca.pem", asksForCA))
	check(t, err)
	pki := catest.New(t, catest.Options{Now: noon})
	cert, err := pki.Set().Issuer().Sign(workload(t, csr.PublicKey))
	check(t, err)
	var got []string
	for _, e := range cert.Leaf.Extensions {
		got = append(got, e.Id.String())
	}
	want := []string{"2.5.29.15", "2.5.29.37", "2.5.29.19", "2.5.29.14", "2.5.29.35", "2.5.29.17"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("extensions (-want +got):\n%s", diff)
	}
	if cert.Leaf.IsCA || len(cert.Leaf.Subject.Names) > 0 {
		t.Errorf("CA %t, subject %s", cert.Leaf.IsCA, cert.Leaf.Subject)
	}
}

// faultySigner has the right public key and does something else when asked to sign.
type faultySigner struct {
	crypto.Signer
	sign func(digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

func (f faultySigner) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return f.sign(digest, opts)
}

func TestSignRefusesWhatAFaultySignerReturns(t *testing.T) {
	unavailable := errors.New("the key service does not answer")
	for _, alg := range []ca.KeyAlgorithm{ca.ECDSAP256, ca.ECDSAP384, ca.Ed25519, ca.RSA2048} {
		other := catest.Key(t, alg)
		for name, sign := range map[string]func([]byte, crypto.SignerOpts) ([]byte, error){
			"an error":      func([]byte, crypto.SignerOpts) ([]byte, error) { return nil, unavailable },
			"nothing":       func([]byte, crypto.SignerOpts) ([]byte, error) { return nil, nil },
			"garbage":       func([]byte, crypto.SignerOpts) ([]byte, error) { return bytes.Repeat([]byte{0x5a}, 64), nil },
			"the digest":    func(d []byte, _ crypto.SignerOpts) ([]byte, error) { return d, nil },
			"another key's": func(d []byte, o crypto.SignerOpts) ([]byte, error) { return other.Sign(rand.Reader, d, o) },
		} {
			t.Run(string(alg)+" returns "+name, func(t *testing.T) {
				pki := catest.New(t, catest.Options{Now: noon, IntermediateKey: alg})
				cfg := pki.SetConfig()
				cfg.Authorities[1].Signer = faultySigner{cfg.Authorities[1].Signer, sign}
				set, err := ca.NewSet(cfg, noon)
				check(t, err)
				cert, err := set.Issuer().Sign(workload(t, other.Public()))
				if err == nil {
					t.Fatalf("signed %x", cert.Raw)
				}
				if name == "an error" && !errors.Is(err, unavailable) {
					t.Errorf("the signer's error is lost: %v", err)
				}
			})
		}
	}
}

func TestOnlyTheActiveIntermediateSigns(t *testing.T) {
	pki := catest.New(t, catest.Options{Now: noon})
	cfg := pki.SetConfig()
	cfg.Authorities = append(cfg.Authorities, sibling(t, pki, ca.StatePrepared))
	set, err := ca.NewSet(cfg, noon)
	check(t, err)
	for _, a := range set.Authorities() {
		_, err := a.Sign(workload(t, catest.Key(t, ca.ECDSAP256).Public()))
		if active := a == set.Issuer(); (err == nil) != active {
			t.Errorf("%s %s: %v", a.State(), a.Role(), err)
		}
	}
}

// sibling is another intermediate under the root of pki.
func sibling(t testing.TB, pki *catest.CA, state ca.State) ca.AuthorityConfig {
	t.Helper()
	root := pki.SetConfig().Authorities[0]
	key := catest.Key(t, ca.ECDSAP256)
	cert, err := ca.NewIntermediate(ca.IntermediateConfig{
		TrustDomain: pki.Set().TrustDomain(), PublicKey: key.Public(),
		Parent: pki.Set().Roots()[0], ParentSigner: root.Signer,
		NotBefore: noon, NotAfter: noon.Add(24 * time.Hour),
	})
	check(t, err)
	return ca.AuthorityConfig{
		ID: ca.AuthorityID(cert), Role: ca.RoleIntermediate, State: state,
		ParentID: root.ID, Certificate: cert.Raw, Signer: key,
	}
}

func TestKeyAlgorithmOf(t *testing.T) {
	n := func(bits int) *big.Int { return new(big.Int).SetBit(big.NewInt(1), bits-1, 1) }
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	check(t, err)
	for name, tt := range map[string]struct {
		key  crypto.PublicKey
		want ca.KeyAlgorithm
	}{
		"P-256":              {catest.Key(t, ca.ECDSAP256).Public(), ca.ECDSAP256},
		"P-384":              {catest.Key(t, ca.ECDSAP384).Public(), ca.ECDSAP384},
		"Ed25519":            {catest.Key(t, ca.Ed25519).Public(), ca.Ed25519},
		"RSA of 2048":        {&rsa.PublicKey{N: n(2048), E: 65537}, ca.RSA2048},
		"RSA of 3072":        {&rsa.PublicKey{N: n(3072), E: 65537}, ca.RSA3072},
		"RSA of 4096":        {&rsa.PublicKey{N: n(4096), E: 65537}, ca.RSA4096},
		"RSA of 1024":        {&rsa.PublicKey{N: n(1024), E: 65537}, ""},
		"RSA of 2047":        {&rsa.PublicKey{N: n(2047), E: 65537}, ""},
		"RSA of 4097":        {&rsa.PublicKey{N: n(4097), E: 65537}, ""},
		"RSA of 8193":        {&rsa.PublicKey{N: n(8193), E: 65537}, ""},
		"exponent 3":         {&rsa.PublicKey{N: n(2048), E: 3}, ""},
		"RSA without N":      {&rsa.PublicKey{E: 65537}, ""},
		"EC without a curve": {&ecdsa.PublicKey{}, ""},
		"P-521":              {p521.Public(), ""},
		"a short Ed25519":    {ed25519.PublicKey{1, 2}, ""},
		"nothing":            {nil, ""},
		"a private key":      {p521, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ca.KeyAlgorithmOf(tt.key)
			if got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("KeyAlgorithmOf = %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}
