// Package catest is a throw-away PKI for the tests of any package: real keys, a real root
// and intermediate, made in a millisecond and forgotten at the end of the test.
//
//	pki := catest.New(t, catest.Options{})
//	cert := pki.Issue(t, "spiffe://example.org/web", catest.Leaf{})
//	key, csr := catest.CSR(t, ca.ECDSAP256)
package catest

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/spiffeid"
)

// Defaults of [Options].
const (
	DefaultTrustDomain = "example.org"
	rootLifetime       = 3 * 365 * 24 * time.Hour
	issuerLifetime     = 180 * 24 * time.Hour
	leafLifetime       = time.Hour
	refreshHint        = 5 * time.Minute
)

// Options says how a PKI is to be. The zero value is right for most tests.
type Options struct {
	TrustDomain     string          // default DefaultTrustDomain
	Now             time.Time       // when it is made; default time.Now
	RootKey         ca.KeyAlgorithm // default P-384
	IntermediateKey ca.KeyAlgorithm // default P-256
	Lifetime        time.Duration   // of the intermediate; default 180 days
	URLs            ca.URLs
	CRLShards       int // of the intermediate
	Organization    string
}

// CA is a root and an active intermediate in memory. It is safe for concurrent use.
type CA struct {
	now    time.Time
	config ca.SetConfig
	set    *ca.Set
	root   crypto.Signer
}

// New makes a PKI, or fails the test.
func New(tb testing.TB, o Options) *CA {
	tb.Helper()
	o = o.withDefaults()
	td, err := spiffeid.ParseTrustDomain(o.TrustDomain)
	must(tb, err)
	rootKey, issuerKey := Key(tb, o.RootKey), Key(tb, o.IntermediateKey)
	root, err := ca.NewRoot(ca.RootConfig{
		TrustDomain: td, Signer: rootKey, Organization: o.Organization,
		NotBefore: o.Now, NotAfter: o.Now.Add(max(rootLifetime, o.Lifetime)),
	})
	must(tb, err)
	issuer, err := ca.NewIntermediate(ca.IntermediateConfig{
		TrustDomain: td, PublicKey: issuerKey.Public(), Parent: root, ParentSigner: rootKey, URLs: o.URLs,
		NotBefore: o.Now, NotAfter: o.Now.Add(o.Lifetime),
	})
	must(tb, err)
	config := ca.SetConfig{
		TrustDomain: td, Generation: 1, Sequence: 1, PublishedAt: o.Now, RefreshHint: refreshHint,
		WindowKey: []byte("window key of a throw-away PKI"), URLs: o.URLs,
		Authorities: []ca.AuthorityConfig{
			{ID: ca.AuthorityID(root), Role: ca.RoleRoot, State: ca.StateActive, Certificate: root.Raw, Signer: rootKey},
			{
				ID: ca.AuthorityID(issuer), Role: ca.RoleIntermediate, State: ca.StateActive,
				ParentID: ca.AuthorityID(root), Certificate: issuer.Raw, Signer: issuerKey, CRLShards: o.CRLShards,
			},
		},
	}
	set, err := ca.NewSet(config, o.Now)
	must(tb, err)
	return &CA{now: o.Now, config: config, set: set, root: rootKey}
}

func (o Options) withDefaults() Options {
	if o.TrustDomain == "" {
		o.TrustDomain = DefaultTrustDomain
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.RootKey == "" {
		o.RootKey = ca.ECDSAP384
	}
	if o.IntermediateKey == "" {
		o.IntermediateKey = ca.ECDSAP256
	}
	if o.Lifetime == 0 {
		o.Lifetime = issuerLifetime
	}
	return o
}

// Set returns the snapshot of the authorities.
func (c *CA) Set() *ca.Set { return c.set }

// SetConfig returns a copy of what the snapshot was made of, root first, then intermediate,
// with both signers, for tests that make another generation.
func (c *CA) SetConfig() ca.SetConfig {
	config := c.config
	config.Authorities = append([]ca.AuthorityConfig(nil), c.config.Authorities...)
	return config
}

// RootPool returns the root as a pool.
func (c *CA) RootPool() *x509.CertPool { return c.set.RootPool() }

// Leaf says how an issued certificate is to be. The zero value is a workload's: clientAuth
// and serverAuth, one hour, from one minute before the PKI was made, a new P-256 key.
type Leaf struct {
	DNSNames     []string
	Organization []string
	Key          crypto.Signer
	ExtKeyUsage  []x509.ExtKeyUsage
	NotBefore    time.Time
	Lifetime     time.Duration
}

// Issue signs a certificate for id, with its chain and its key, ready for a tls.Config.
func (c *CA) Issue(tb testing.TB, id string, l Leaf) tls.Certificate {
	tb.Helper()
	parsed, err := spiffeid.Parse(id)
	must(tb, err)
	if l.Key == nil {
		l.Key = Key(tb, ca.ECDSAP256)
	}
	if l.ExtKeyUsage == nil {
		l.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	}
	if l.NotBefore.IsZero() {
		l.NotBefore = c.now.Truncate(time.Second).Add(-ca.MaxSkew)
	}
	if l.Lifetime == 0 {
		l.Lifetime = leafLifetime
	}
	cert, err := c.set.Issuer().Sign(ca.Leaf{
		PublicKey: l.Key.Public(), ID: parsed, DNSNames: l.DNSNames, Organization: l.Organization,
		ExtKeyUsage: l.ExtKeyUsage, NotBefore: l.NotBefore, NotAfter: l.NotBefore.Add(l.Lifetime),
	})
	must(tb, err)
	return tls.Certificate{Certificate: cert.Chain, PrivateKey: l.Key, Leaf: cert.Leaf}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatalf("catest: %v", err)
	}
}
