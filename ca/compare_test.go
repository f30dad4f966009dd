package ca_test

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
)

// TestCompareSeesEveryDifference alters a signed certificate in one place at a time. What is
// altered is the parsed form, as a faulty library or memory would.
func TestCompareSeesEveryDifference(t *testing.T) {
	pki := catest.New(t, catest.Options{Now: noon, URLs: ca.URLs{Issuer: "http://pando.example.org/a", CRL: "http://pando.example.org/b"}})
	issuer := pki.Set().Issuer().Certificate()
	key := catest.Key(t, ca.ECDSAP256).Public()
	leaf := workload(t, key)
	leaf.DNSNames = []string{"web.example.org"}
	signed, err := pki.Set().Issuer().Sign(leaf)
	check(t, err)
	if err := ca.Compare(signed.Leaf, signed.Leaf, issuer, key); err != nil {
		t.Fatalf("a good certificate %v", err)
	}
	other := catest.Key(t, ca.ECDSAP256).Public()
	for name, alter := range map[string]func(*x509.Certificate){
		"serial number":        func(c *x509.Certificate) { c.SerialNumber = big.NewInt(1) },
		"issuer":               func(c *x509.Certificate) { c.RawIssuer = []byte{0x30, 0} },
		"organisation":         func(c *x509.Certificate) { c.Subject.Organization = []string{"Evil"} },
		"common name":          func(c *x509.Certificate) { c.Subject.Names = []pkix.AttributeTypeAndValue{{}} },
		"notBefore":            func(c *x509.Certificate) { c.NotBefore = c.NotBefore.Add(time.Second) },
		"notAfter":             func(c *x509.Certificate) { c.NotAfter = c.NotAfter.Add(time.Second) },
		"public key":           func(c *x509.Certificate) { c.PublicKey = other },
		"no public key":        func(c *x509.Certificate) { c.PublicKey = nil },
		"key usage":            func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign },
		"extended key usage":   func(c *x509.Certificate) { c.ExtKeyUsage = append(c.ExtKeyUsage, x509.ExtKeyUsageAny) },
		"unknown usage":        func(c *x509.Certificate) { c.UnknownExtKeyUsage = append(c.UnknownExtKeyUsage, []int{1, 2, 3}) },
		"a CA":                 func(c *x509.Certificate) { c.IsCA = true },
		"no basic constraints": func(c *x509.Certificate) { c.BasicConstraintsValid = false },
		"own key identifier":   func(c *x509.Certificate) { c.SubjectKeyId = nil },
		"issuer's identifier":  func(c *x509.Certificate) { c.AuthorityKeyId = nil },
		"issuer URL":           func(c *x509.Certificate) { c.IssuingCertificateURL = []string{"http://evil.example.com/"} },
		"OCSP":                 func(c *x509.Certificate) { c.OCSPServer = []string{"http://evil.example.com/"} },
		"CRL":                  func(c *x509.Certificate) { c.CRLDistributionPoints = nil },
		"another URI":          func(c *x509.Certificate) { c.URIs = []*url.URL{parseID(t, "spiffe://example.org/admin").URL()} },
		"no URI":               func(c *x509.Certificate) { c.URIs = nil },
		"a DNS name more":      func(c *x509.Certificate) { c.DNSNames = append(c.DNSNames, "evil.example.com") },
		"an IP address":        func(c *x509.Certificate) { c.IPAddresses = []net.IP{{192, 0, 2, 1}} },
		"an email address":     func(c *x509.Certificate) { c.EmailAddresses = []string{"a@example.org"} },
		"an extension more":    func(c *x509.Certificate) { c.Extensions = append(c.Extensions, pkix.Extension{Id: []int{1, 2, 3}}) },
		"an extension less":    func(c *x509.Certificate) { c.Extensions = c.Extensions[1:] },
		"criticality": func(c *x509.Certificate) {
			c.Extensions = append([]pkix.Extension(nil), c.Extensions...)
			c.Extensions[0].Critical = !c.Extensions[0].Critical
		},
	} {
		t.Run(name, func(t *testing.T) {
			altered := *signed.Leaf
			alter(&altered)
			if ca.Compare(&altered, signed.Leaf, issuer, key) == nil {
				t.Error("the difference went unseen")
			}
		})
	}
}
