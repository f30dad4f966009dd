package ca_test

import (
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
)

// BenchmarkParseCSR compares ParseCSR with what it cannot do without.
func BenchmarkParseCSR(b *testing.B) {
	_, der := catest.CSR(b, ca.ECDSAP256, "spiffe://example.org/ns/prod/sa/web", "web.example.org")
	b.Run("ParseCSR", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ca.ParseCSR(der); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			csr, err := x509.ParseCertificateRequest(der)
			if err != nil || csr.CheckSignature() != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkSign compares Sign, which parses back and compares, with CreateCertificate alone.
func BenchmarkSign(b *testing.B) {
	pki := catest.New(b, catest.Options{Now: noon})
	issuer, signer := pki.Set().Issuer(), pki.SetConfig().Authorities[intermediate].Signer
	leaf := workload(b, catest.Key(b, ca.ECDSAP256).Public())
	var sign, bare time.Duration
	b.Run("Sign", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := issuer.Sign(leaf); err != nil {
				b.Fatal(err)
			}
		}
		sign = b.Elapsed() / time.Duration(b.N)
	})
	b.Run("bare", func(b *testing.B) {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: leaf.ExtKeyUsage, URIs: []*url.URL{leaf.ID.URL()},
		}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := x509.CreateCertificate(rand.Reader, template, issuer.Certificate(), leaf.PublicKey, signer); err != nil {
				b.Fatal(err)
			}
		}
		bare = b.Elapsed() / time.Duration(b.N)
		if sign > 0 {
			b.ReportMetric(float64(sign)/float64(bare), "Sign/bare")
		}
	})
}

// BenchmarkVerifyPeer is the cost of a handshake with a known client.
func BenchmarkVerifyPeer(b *testing.B) {
	pki := catest.New(b, catest.Options{Now: noon})
	peer := pki.Issue(b, "spiffe://example.org/web", catest.Leaf{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pki.Set().VerifyPeer(peer.Leaf, nil, noon); err != nil {
			b.Fatal(err)
		}
	}
}
