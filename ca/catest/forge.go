package catest

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/pando-ca/pando/ca"
)

// Forge makes what somebody can make who has the key of the active intermediate: a certificate
// that says what victim says, serial number included, for another key.
func (c *CA) Forge(tb testing.TB, victim *x509.Certificate) tls.Certificate {
	tb.Helper()
	key, issuer := Key(tb, ca.ECDSAP256), c.config.Authorities[c.active(ca.RoleIntermediate)]
	der, err := x509.CreateCertificate(rand.Reader, victim, parse(tb, issuer.Certificate), key.Public(), issuer.Signer)
	must(tb, err)
	return tls.Certificate{Certificate: [][]byte{der, issuer.Certificate}, PrivateKey: key, Leaf: parse(tb, der)}
}
