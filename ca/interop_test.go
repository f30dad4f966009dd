package ca_test

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	gospiffe "github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	"github.com/zmap/zlint/v3/lint"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
)

// opensslKeys is how openssl makes a key of each algorithm.
var opensslKeys = map[ca.KeyAlgorithm][]string{
	ca.ECDSAP256: opensslP256,
	ca.ECDSAP384: {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"},
	ca.Ed25519:   {"-algorithm", "ED25519"},
	ca.RSA2048:   opensslRSA,
	ca.RSA3072:   {"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"},
	ca.RSA4096:   {"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096"},
}

// kinds of leaf that are issued for each key.
var kinds = map[string]func(*ca.Leaf){
	"workload": func(*ca.Leaf) {},
	"server": func(l *ca.Leaf) {
		l.DNSNames = []string{"web.example.org", "*.web.example.org"}
		l.NotAfter = l.NotBefore.Add(60 * 24 * time.Hour)
	},
	"with an organisation": func(l *ca.Leaf) { l.Organization = []string{"Example"} },
}

// TestOthersAccept issues for requests that openssl made, and asks go-spiffe, openssl and
// zlint what they think of the result.
func TestOthersAccept(t *testing.T) {
	pki := catest.New(t, catest.Options{Now: noon, Organization: "Example", URLs: ca.URLs{
		Issuer: "http://pando.example.org/issuers/{authority}.cer", CRL: "http://pando.example.org/crl/{authority}.crl",
	}})
	lintCertificate(t, pki.Set().Roots()[0].Raw)
	lintCertificate(t, pki.Set().Issuer().Certificate().Raw)
	for _, alg := range ca.KeyAlgorithms() {
		csr, err := ca.ParseCSR(opensslCSR(t, opensslKeys[alg], "-addext", "subjectAltName=URI:spiffe://example.org/ns/prod/sa/web"))
		check(t, err)
		if csr.KeyAlgorithm != alg {
			t.Errorf("key algorithm %q, want %q", csr.KeyAlgorithm, alg)
		}
		for kind, shape := range kinds {
			t.Run(string(alg)+" "+kind, func(t *testing.T) {
				leaf := workload(t, csr.PublicKey)
				leaf.ID = csr.ID
				shape(&leaf)
				cert, err := pki.Set().Issuer().Sign(leaf)
				check(t, err)
				goSPIFFEAccepts(t, pki.Set(), cert)
				opensslAccepts(t, pki.Set(), cert)
				lintCertificate(t, cert.Raw)
			})
		}
	}
}

// TestOthersAcceptEveryIssuer varies the keys of the authorities.
func TestOthersAcceptEveryIssuer(t *testing.T) {
	for _, alg := range ca.KeyAlgorithms() {
		t.Run(string(alg), func(t *testing.T) {
			pki := catest.New(t, catest.Options{Now: noon, RootKey: alg, IntermediateKey: alg})
			cert, err := pki.Set().Issuer().Sign(workload(t, catest.Key(t, ca.ECDSAP256).Public()))
			check(t, err)
			goSPIFFEAccepts(t, pki.Set(), cert)
			opensslAccepts(t, pki.Set(), cert)
			lintCertificate(t, pki.Set().Roots()[0].Raw)
			lintCertificate(t, pki.Set().Issuer().Certificate().Raw)
			lintCertificate(t, cert.Raw)
		})
	}
}

func goSPIFFEAccepts(t *testing.T, set *ca.Set, cert *ca.Certificate) {
	t.Helper()
	td, err := gospiffe.TrustDomainFromString(set.TrustDomain().String())
	check(t, err)
	bundle := x509bundle.FromX509Authorities(td, set.Roots())
	id, _, err := x509svid.ParseAndVerify(cert.Chain, bundle, x509svid.WithTime(noon))
	if err != nil || id.String() != cert.Leaf.URIs[0].String() {
		t.Errorf("go-spiffe: %q, %v", id, err)
	}
}

func opensslAccepts(t *testing.T, set *ca.Set, cert *ca.Certificate) {
	t.Helper()
	dir := t.TempDir()
	file := func(name string, certs ...[]byte) string {
		var text []byte
		for _, der := range certs {
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
		}
		path := filepath.Join(dir, name)
		check(t, os.WriteFile(path, text, 0o600))
		return path
	}
	roots, chain, leaf := file("roots.pem", set.Roots()[0].Raw), file("chain.pem", cert.Chain[1:]...), file("leaf.pem", cert.Raw)
	for _, purpose := range []string{"sslclient", "sslserver"} {
		openssl(t, "verify", "-x509_strict", "-check_ss_sig", "-attime", strconv.FormatInt(noon.Unix(), 10),
			"-purpose", purpose, "-CAfile", roots, "-untrusted", chain, leaf)
	}
}

// lintCertificate runs every lint whose source is an RFC. No finding has had to be excused.
func lintCertificate(t *testing.T, der []byte) {
	t.Helper()
	registry, err := lint.GlobalRegistry().Filter(lint.FilterOptions{IncludeSources: lint.SourceList{
		lint.RFC3279, lint.RFC5280, lint.RFC5480, lint.RFC5891, lint.RFC6960, lint.RFC6962, lint.RFC8813,
	}})
	check(t, err)
	cert, err := zx509.ParseCertificate(der)
	check(t, err)
	results := zlint.LintCertificateEx(cert, registry)
	passed := 0
	for name, result := range results.Results {
		switch {
		case result.Status == lint.Pass:
			passed++
		case result.Status >= lint.Warn:
			t.Errorf("zlint: %s: %s %s", name, result.Status, result.Details)
		}
	}
	if passed < 30 {
		t.Errorf("zlint: only %d lints applied", passed)
	}
}
