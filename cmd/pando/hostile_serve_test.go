package main

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

// reissue replaces the certificate of the active intermediate with one that its root has signed
// for the same key, changed by change.
func (d *deployment) reissue(t *testing.T, change func(*x509.Certificate)) {
	t.Helper()
	cfg, err := configSource{data: d.data}.load()
	if err != nil {
		t.Fatal(err)
	}
	v, err := openVault("", cfg.SealKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	td, err := cfg.trustDomain()
	if err != nil {
		t.Fatal(err)
	}
	d.changeGeneration(t, func(g *store.Generation) {
		root, issuer := parseAuthority(t, g.Authorities[0]), parseAuthority(t, g.Authorities[1])
		signer, err := v.keys.Open(g.Authorities[0].Key, ca.KeyLabel(td, ca.RoleRoot))
		if err != nil {
			t.Fatal(err)
		}
		cert := resign(t, issuer, root, signer, change)
		g.Authorities[1].Certificate, g.Authorities[1].ID = cert.Raw, ca.AuthorityID(cert)
	})
}

func parseAuthority(t *testing.T, a store.Authority) *x509.Certificate {
	t.Helper()
	cert, err := x509.ParseCertificate(a.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func resign(t *testing.T, like, parent *x509.Certificate, signer crypto.Signer, change func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: like.Subject, NotBefore: like.NotBefore, NotAfter: like.NotAfter,
		KeyUsage: like.KeyUsage, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
		SubjectKeyId: like.SubjectKeyId, URIs: like.URIs,
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, like.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// TestServeRefusesAnIssuerThatIsNoGood puts certificates into the database that the root has
// signed and that cannot issue.
func TestServeRefusesAnIssuerThatIsNoGood(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*x509.Certificate)
		want   string
	}{
		"not yet valid":            {func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) }, "not yet valid"},
		"without cRLSign":          {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign }, "lacks key usage cRLSign"},
		"without keyCertSign":      {func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }, "lacks key usage keyCertSign"},
		"that outlives its root":   {func(c *x509.Certificate) { c.NotAfter = c.NotAfter.AddDate(20, 0, 0) }, "does not lie within that of its parent"},
		"that is not a CA's":       {func(c *x509.Certificate) { c.IsCA, c.MaxPathLenZero = false, false }, "is not a CA certificate"},
		"without an identity":      {func(c *x509.Certificate) { c.URIs = nil }, "has no SPIFFE ID"},
		"for servers only, by EKU": {func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, "extended key usage"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDeployment(t, "")
			d.reissue(t, test.change)
			code, errs := d.refusedServe(t)
			if code != exitFailed || !strings.Contains(errs, test.want) {
				t.Errorf("exit code %d: %q, want %q", code, errs, test.want)
			}
		})
	}
	// The same certificate signed anew is good, so that it is the change that was refused.
	d := newDeployment(t, "")
	d.reissue(t, func(c *x509.Certificate) { c.NotAfter = c.NotAfter.Add(-time.Minute) })
	d.serve(t)
}

// TestServeReplacesAnExpiredIssuer: an outage that was longer than an intermediate's life ends
// with a new intermediate and not with a refusal. Nothing is ever signed by the expired one.
func TestServeReplacesAnExpiredIssuer(t *testing.T) {
	d := newDeployment(t, "")
	var expired string
	d.reissue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) })
	d.changeGeneration(t, func(g *store.Generation) { expired = g.Authorities[1].ID })
	if code := d.serve(t).end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	d.changeGeneration(t, func(g *store.Generation) {
		for _, a := range g.Authorities {
			if a.State == string(ca.StateActive) && a.ID == expired {
				t.Errorf("the expired intermediate %s is still active", a.ID)
			}
		}
	})
}
