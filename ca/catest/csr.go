package catest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"net/url"
	"strings"
	"testing"

	"github.com/pando-ca/pando/ca"
)

// Key makes a new private key. RSA keys take up to seconds.
func Key(tb testing.TB, alg ca.KeyAlgorithm) crypto.Signer {
	tb.Helper()
	var key crypto.Signer
	var err error
	switch alg {
	case ca.ECDSAP256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ca.ECDSAP384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case ca.Ed25519:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case ca.RSA2048:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case ca.RSA3072:
		key, err = rsa.GenerateKey(rand.Reader, 3072)
	case ca.RSA4096:
		key, err = rsa.GenerateKey(rand.Reader, 4096)
	default:
		tb.Fatalf("catest: key algorithm %q is unknown", alg)
	}
	must(tb, err)
	return key
}

// CSR makes a new key and a request for it in DER. Names that begin with "spiffe://" are
// asked for as URIs, others as DNS names; no names ask for none.
func CSR(tb testing.TB, alg ca.KeyAlgorithm, names ...string) (key crypto.Signer, der []byte) {
	tb.Helper()
	key = Key(tb, alg)
	return key, CSRFor(tb, key, names...)
}

// CSRFor makes a request in DER for a key that exists, with names as for [CSR].
func CSRFor(tb testing.TB, key crypto.Signer, names ...string) []byte {
	tb.Helper()
	var template x509.CertificateRequest
	for _, name := range names {
		if !strings.HasPrefix(name, "spiffe://") {
			template.DNSNames = append(template.DNSNames, name)
			continue
		}
		uri, err := url.Parse(name)
		must(tb, err)
		template.URIs = append(template.URIs, uri)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	must(tb, err)
	return der
}
