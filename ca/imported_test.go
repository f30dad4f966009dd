package ca_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
)

// elsewhere makes roots and intermediates as other software might.
type elsewhere struct {
	now                time.Time
	rootKey, key       crypto.Signer
	root, intermediate *x509.Certificate // templates
	signer             crypto.Signer     // of the intermediate; nil: rootKey
	requested          crypto.Signer     // nil: key
	presentedRoot      *x509.Certificate // nil: what root becomes
	company            crypto.Signer     // of a root that signs root; nil: root signs itself
	companyRoot        *x509.Certificate // set by imported
	covers             time.Duration
}

func (e *elsewhere) imported(t *testing.T) ca.Imported {
	t.Helper()
	sign := func(template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) *x509.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	root := sign(e.root, e.root, e.rootKey.Public(), e.rootKey)
	if e.company != nil {
		above := &x509.Certificate{
			SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Company"}, SubjectKeyId: []byte("company"),
			NotBefore: e.root.NotBefore, NotAfter: e.root.NotAfter, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
			BasicConstraintsValid: true, IsCA: true,
		}
		e.companyRoot = sign(above, above, e.company.Public(), e.company)
		root = sign(e.root, e.companyRoot, e.rootKey.Public(), e.company)
	}
	parent, signer := root, e.rootKey
	if e.signer != nil {
		other := *e.root
		other.SerialNumber = big.NewInt(9)
		parent, signer = sign(&other, &other, e.signer.Public(), e.signer), e.signer
	}
	made := ca.Imported{
		TrustDomain:  parseID(t, "spiffe://example.org").TrustDomain(),
		Intermediate: sign(e.intermediate, parent, e.key.Public(), signer), Root: root, Signer: e.key, Covers: e.covers,
	}
	if e.requested != nil {
		made.Signer = e.requested
	}
	if e.presentedRoot != nil {
		made.Root = e.presentedRoot
	}
	return made
}

// broken is a root whose signature is not its own.
func (e *elsewhere) broken(t *testing.T) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, e.root, e.root, catest.Key(t, ca.ECDSAP384).Public(), e.rootKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// TestAnAnchorUnderTheRootOfACompany proves who accepts what is issued under a CA of the trust domain
// that the root of a company has signed: those who trust that CA, and those who trust the company.
func TestAnAnchorUnderTheRootOfACompany(t *testing.T) {
	e := newElsewhere(t)
	e.company = catest.Key(t, ca.ECDSAP384)
	made := e.imported(t)
	root := ca.AuthorityID(made.Root)
	set, err := ca.NewSet(ca.SetConfig{
		TrustDomain: made.TrustDomain, Generation: 1, WindowKey: make([]byte, 32),
		Authorities: []ca.AuthorityConfig{
			{ID: root, Role: ca.RoleRoot, State: ca.StateActive, Certificate: made.Root.Raw},
			{ID: ca.AuthorityID(made.Intermediate), Role: ca.RoleIntermediate, State: ca.StateActive, ParentID: root, Certificate: made.Intermediate.Raw, Signer: made.Signer},
		},
	}, e.now)
	check(t, err)
	if roots := set.Roots(); len(roots) != 1 || !roots[0].Equal(made.Root) {
		t.Fatalf("%d roots, want the CA of the trust domain alone", len(roots))
	}
	leaf, err := set.Issuer().Sign(ca.Leaf{
		PublicKey: catest.Key(t, ca.ECDSAP256).Public(), ID: parseID(t, "spiffe://example.org/web"),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore:   e.now, NotAfter: e.now.Add(time.Hour),
	})
	check(t, err)
	intermediates := x509.NewCertPool()
	for _, der := range leaf.Chain[1:] {
		cert, err := x509.ParseCertificate(der)
		check(t, err)
		intermediates.AddCert(cert)
	}
	for name, anchor := range map[string]*x509.Certificate{"the trust bundle": made.Root, "the root of the company": e.companyRoot} {
		roots := x509.NewCertPool()
		roots.AddCert(anchor)
		if _, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, CurrentTime: e.now}); err != nil {
			t.Errorf("under %s: %v", name, err)
		}
	}
	var presented []*x509.Certificate
	for _, der := range leaf.Chain[1:] {
		cert, err := x509.ParseCertificate(der)
		check(t, err)
		presented = append(presented, cert)
	}
	if _, err := set.VerifyPeer(leaf.Leaf, presented, e.now); err != nil {
		t.Errorf("VerifyPeer: %v", err)
	}
}

func newElsewhere(t *testing.T) *elsewhere {
	t.Helper()
	now := time.Date(2031, 3, 5, 12, 0, 0, 0, time.UTC)
	id := &url.URL{Scheme: "spiffe", Host: "example.org"}
	template := func(serial int64, name string, end time.Duration) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, SubjectKeyId: []byte(name),
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(end), URIs: []*url.URL{id},
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true,
		}
	}
	return &elsewhere{
		now: now, rootKey: catest.Key(t, ca.ECDSAP384), key: catest.Key(t, ca.ECDSAP256), covers: 24 * time.Hour,
		root: template(1, "Root", 1000*time.Hour), intermediate: template(2, "Intermediate", 500*time.Hour),
	}
}

func TestImportedCheck(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(*testing.T, *elsewhere)
		want  string // in the error; empty: adopted
	}{
		"a chain as it should be": {spoil: func(*testing.T, *elsewhere) {}},
		"a certificate for another key": {want: "not for the key that was requested", spoil: func(t *testing.T, e *elsewhere) {
			e.requested = catest.Key(t, ca.ECDSAP256)
		}},
		"another trust domain": {want: "it has SPIFFE ID spiffe://example.com, want spiffe://example.org", spoil: func(_ *testing.T, e *elsewhere) {
			e.intermediate.URIs = []*url.URL{{Scheme: "spiffe", Host: "example.com"}}
		}},
		"a root of another trust domain": {want: "imported root: it has SPIFFE ID spiffe://example.com", spoil: func(_ *testing.T, e *elsewhere) {
			e.root.URIs = []*url.URL{{Scheme: "spiffe", Host: "example.com"}}
		}},
		"the root of a company": {want: "it has no SPIFFE ID: verifiers would take whatever it ever signed", spoil: func(_ *testing.T, e *elsewhere) {
			e.root.URIs = nil
		}},
		"an intermediate without a SPIFFE ID": {want: "it has no SPIFFE ID", spoil: func(_ *testing.T, e *elsewhere) { e.intermediate.URIs = nil }},
		"no CA":                               {want: "it is not a CA certificate", spoil: func(_ *testing.T, e *elsewhere) { e.intermediate.IsCA = false }},
		"no cRLSign": {want: "it lacks key usage cRLSign", spoil: func(_ *testing.T, e *elsewhere) {
			e.intermediate.KeyUsage = x509.KeyUsageCertSign
		}},
		"no keyCertSign": {want: "it lacks key usage keyCertSign", spoil: func(_ *testing.T, e *elsewhere) {
			e.intermediate.KeyUsage = x509.KeyUsageCRLSign
		}},
		"a root without cRLSign": {want: "imported root: it lacks key usage cRLSign", spoil: func(_ *testing.T, e *elsewhere) {
			e.root.KeyUsage = x509.KeyUsageCertSign
		}},
		"an expired intermediate": {want: "it expired at 2031-03-05T11:30:00Z", spoil: func(_ *testing.T, e *elsewhere) {
			e.intermediate.NotAfter = e.now.Add(-30 * time.Minute)
		}},
		"an intermediate that has not begun": {want: "it is not valid before", spoil: func(_ *testing.T, e *elsewhere) {
			e.intermediate.NotBefore = e.now.Add(time.Second)
		}},
		"an expired root": {want: "imported root: it expired", spoil: func(_ *testing.T, e *elsewhere) { e.root.NotAfter = e.now.Add(-time.Second) }},
		"an intermediate that outlives its root": {want: "does not lie within that of its root", spoil: func(_ *testing.T, e *elsewhere) {
			e.intermediate.NotAfter = e.root.NotAfter.Add(time.Second)
		}},
		"an intermediate that begins before its root": {want: "does not lie within that of its root", spoil: func(_ *testing.T, e *elsewhere) {
			e.intermediate.NotBefore = e.root.NotBefore.Add(-time.Second)
		}},
		"an intermediate too short for a leaf": {want: "cannot cover the longest leaf, 24h0m0s", spoil: func(_ *testing.T, e *elsewhere) {
			e.intermediate.NotAfter = e.now.Add(23 * time.Hour)
		}},
		"a root that may sign leaves only": {want: "the path length of its root", spoil: func(_ *testing.T, e *elsewhere) { e.root.MaxPathLenZero = true }},
		"another root": {want: "it was not signed by the root that comes with it", spoil: func(t *testing.T, e *elsewhere) {
			e.signer = catest.Key(t, ca.ECDSAP384)
		}},
		"a root that is not signed by itself": {want: "imported root: it is not self-signed", spoil: func(t *testing.T, e *elsewhere) {
			e.presentedRoot = e.broken(t)
		}},
		"the intermediate as its own root": {want: "it has the key of its root", spoil: func(t *testing.T, e *elsewhere) {
			e.presentedRoot = e.imported(t).Intermediate
		}},
		"a CA of the trust domain under the root of a company": {spoil: func(t *testing.T, e *elsewhere) { e.company = catest.Key(t, ca.ECDSAP384) }},
		"the key of the root": {want: "it has the key of its root", spoil: func(_ *testing.T, e *elsewhere) { e.key = e.rootKey }},
		"a weak key":          {want: "it has an unsuitable key", spoil: func(t *testing.T, e *elsewhere) { e.key = p521(t) }},
		"name constraints": {want: "it constrains its leaves", spoil: func(_ *testing.T, e *elsewhere) {
			e.intermediate.PermittedDNSDomains = []string{"example.org"}
		}},
		"extended key usage": {want: "it constrains its leaves", spoil: func(_ *testing.T, e *elsewhere) {
			e.intermediate.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newElsewhere(t)
			tt.spoil(t, e)
			err := e.imported(t).Check(e.now)
			switch {
			case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("Check = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestIntermediateRequest(t *testing.T) {
	td := parseID(t, "spiffe://example.org").TrustDomain()
	key := catest.Key(t, ca.ECDSAP256)
	der, err := ca.NewIntermediateRequest(td, key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := ca.ParseIntermediateRequest(der, td)
	if err != nil || !key.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(public) {
		t.Errorf("ParseIntermediateRequest = %v, %v", public, err)
	}
	_, leaf := catest.CSR(t, ca.ECDSAP256)
	for name, data := range map[string][]byte{"a leaf's": leaf, "nothing": nil, "one that was altered": append([]byte{}, der[:len(der)-1]...)} {
		if _, err := ca.ParseIntermediateRequest(data, td); err == nil {
			t.Errorf("a request that is %s is accepted", name)
		}
	}
	if _, err := ca.ParseIntermediateRequest(der, parseID(t, "spiffe://example.com").TrustDomain()); err == nil {
		t.Error("a request for another trust domain is accepted")
	}
}

// p521 is a key of a kind that no authority has.
func p521(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
