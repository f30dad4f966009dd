package ca_test

import (
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/spiffeid"
)

func TestNewRootRefuses(t *testing.T) {
	td := parseID(t, "spiffe://example.org").TrustDomain()
	for name, spoil := range map[string]func(*ca.RootConfig){
		"no trust domain":     func(c *ca.RootConfig) { c.TrustDomain = spiffeid.TrustDomain{} },
		"no signer":           func(c *ca.RootConfig) { c.Signer = nil },
		"an empty period":     func(c *ca.RootConfig) { c.NotAfter = c.NotBefore },
		"a long organisation": func(c *ca.RootConfig) { c.Organization = string(make([]byte, 65)) },
		"the year 10000":      func(c *ca.RootConfig) { c.NotAfter = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"a faulty signer": func(c *ca.RootConfig) {
			c.Signer = faultySigner{c.Signer, anotherKeys(t, ca.ECDSAP384)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := ca.RootConfig{TrustDomain: td, Signer: catest.Key(t, ca.ECDSAP384), NotBefore: noon, NotAfter: noon.AddDate(3, 0, 0)}
			spoil(&cfg)
			if cert, err := ca.NewRoot(cfg); err == nil {
				t.Errorf("made %s", cert.Subject)
			}
		})
	}
}

func TestNewIntermediateRefuses(t *testing.T) {
	pki := catest.New(t, catest.Options{Now: noon})
	parent, signer := pki.Set().Roots()[0], pki.SetConfig().Authorities[root].Signer
	leaf := pki.Issue(t, "spiffe://example.org/web", catest.Leaf{})
	for name, spoil := range map[string]func(*ca.IntermediateConfig){
		"no trust domain":      func(c *ca.IntermediateConfig) { c.TrustDomain = spiffeid.TrustDomain{} },
		"another trust domain": func(c *ca.IntermediateConfig) { c.TrustDomain = parseID(t, "spiffe://example.com").TrustDomain() },
		"no key":               func(c *ca.IntermediateConfig) { c.PublicKey = nil },
		"no parent":            func(c *ca.IntermediateConfig) { c.Parent = nil },
		"no signer":            func(c *ca.IntermediateConfig) { c.ParentSigner = nil },
		"a leaf as parent":     func(c *ca.IntermediateConfig) { c.Parent = leaf.Leaf },
		"another parent's key": func(c *ca.IntermediateConfig) { c.ParentSigner = catest.Key(t, ca.ECDSAP384) },
		"a faulty signer": func(c *ca.IntermediateConfig) {
			c.ParentSigner = faultySigner{signer, anotherKeys(t, ca.ECDSAP384)}
		},
		"an empty period":             func(c *ca.IntermediateConfig) { c.NotAfter = c.NotBefore },
		"an end after the parent's":   func(c *ca.IntermediateConfig) { c.NotAfter = parent.NotAfter.Add(time.Second) },
		"a start before the parent's": func(c *ca.IntermediateConfig) { c.NotBefore = parent.NotBefore },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := ca.IntermediateConfig{
				TrustDomain: pki.Set().TrustDomain(), PublicKey: catest.Key(t, ca.ECDSAP256).Public(),
				Parent: parent, ParentSigner: signer, NotBefore: noon, NotAfter: noon.AddDate(0, 6, 0),
			}
			spoil(&cfg)
			if cert, err := ca.NewIntermediate(cfg); err == nil {
				t.Errorf("made %s", cert.Subject)
			}
		})
	}
}

// TestLeafInTheFirstSecondOfItsIssuer is why authorities are backdated.
func TestLeafInTheFirstSecondOfItsIssuer(t *testing.T) {
	pki := catest.New(t, catest.Options{Now: noon})
	leaf := workload(t, catest.Key(t, ca.ECDSAP256).Public())
	leaf.NotBefore = noon.Add(-ca.MaxSkew)
	_, err := pki.Set().Issuer().Sign(leaf)
	check(t, err)
}
