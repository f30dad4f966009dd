package catest

import (
	"crypto/x509"
	"slices"
	"testing"

	"github.com/pando-ca/pando/ca"
)

// Prepare returns the PKI as it is once the next root is published: in the bundle, with a
// cross-certificate, and signing nothing. Old and new PKI share their authorities, as two
// generations of one CA do; the old one stays as it is.
func (c *CA) Prepare(tb testing.TB) *CA {
	tb.Helper()
	old := c.config.Authorities[c.active(ca.RoleRoot)]
	parent := parse(tb, old.Certificate)
	algorithm, err := ca.KeyAlgorithmOf(parent.PublicKey)
	must(tb, err)
	key := Key(tb, algorithm)
	cfg := ca.RootConfig{TrustDomain: c.config.TrustDomain, Signer: key, NotBefore: c.now, NotAfter: parent.NotAfter}
	if names := parent.Subject.Organization; len(names) > 0 {
		cfg.Organization = names[0]
	}
	root, err := ca.NewRoot(cfg)
	must(tb, err)
	cross, err := ca.CrossSign(ca.CrossConfig{
		TrustDomain: c.config.TrustDomain, Root: root, Parent: parent, ParentSigner: old.Signer, URLs: c.config.URLs,
	})
	must(tb, err)
	next := c.next()
	next.config.Sequence++
	next.config.Authorities = append(next.config.Authorities, ca.AuthorityConfig{
		ID: ca.AuthorityID(root), Role: ca.RoleRoot, State: ca.StatePrepared, Certificate: root.Raw, Signer: key,
		CrossParentID: old.ID, CrossCertificate: cross.Raw,
	})
	return next.open(tb)
}

// Activate returns the PKI as it is once the prepared root is active, with a new intermediate:
// what was active is retiring, and chains carry the cross-certificate.
func (c *CA) Activate(tb testing.TB) *CA {
	tb.Helper()
	next := c.next()
	all := next.config.Authorities
	prepared := slices.IndexFunc(all, func(a ca.AuthorityConfig) bool { return a.State == ca.StatePrepared })
	if prepared < 0 {
		tb.Fatal("catest: no root is prepared")
	}
	all[c.active(ca.RoleRoot)].State = ca.StateRetiring
	all[c.active(ca.RoleIntermediate)].State = ca.StateRetiring
	all[prepared].State = ca.StateActive
	parent := parse(tb, all[prepared].Certificate)
	key := Key(tb, ca.ECDSAP256)
	old := c.config.Authorities[c.active(ca.RoleIntermediate)]
	issuer, err := ca.NewIntermediate(ca.IntermediateConfig{
		TrustDomain: c.config.TrustDomain, PublicKey: key.Public(), Parent: parent, ParentSigner: all[prepared].Signer,
		NotBefore: c.now, NotAfter: parse(tb, old.Certificate).NotAfter,
		URLs: c.config.URLs,
	})
	must(tb, err)
	next.config.Authorities = append(all, ca.AuthorityConfig{
		ID: ca.AuthorityID(issuer), Role: ca.RoleIntermediate, State: ca.StateActive,
		ParentID: all[prepared].ID, Certificate: issuer.Raw, Signer: key, CRLShards: old.CRLShards,
	})
	return next.open(tb)
}

// Retire returns the PKI as it is once nothing is left under the old root: it has left the
// bundle, and its key and that of its intermediate are gone.
func (c *CA) Retire(tb testing.TB) *CA {
	tb.Helper()
	next := c.next()
	for i, a := range next.config.Authorities {
		if a.State == ca.StateRetiring {
			next.config.Authorities[i].State, next.config.Authorities[i].Signer = ca.StateRetired, nil
		}
	}
	next.config.Sequence++
	return next.open(tb)
}

// NewRotating makes a PKI in the middle of a root rotation: the old root and its intermediate
// are retiring, the new root has a cross-certificate and the active intermediate. The PKI
// before, whose bundle is the old root alone, is returned too.
func NewRotating(tb testing.TB, o Options) (before, rotating *CA) {
	tb.Helper()
	before = New(tb, o)
	return before, before.Prepare(tb).Activate(tb)
}

// next is a copy to become the next generation.
func (c *CA) next() *CA {
	config := c.SetConfig()
	config.Generation++
	return &CA{now: c.now, config: config}
}

func (c *CA) open(tb testing.TB) *CA {
	tb.Helper()
	set, err := ca.NewSet(c.config, c.now)
	must(tb, err)
	c.set = set
	return c
}

// active is the place of the one active authority of a role.
func (c *CA) active(role ca.Role) int {
	return slices.IndexFunc(c.config.Authorities, func(a ca.AuthorityConfig) bool {
		return a.Role == role && a.State == ca.StateActive
	})
}

func parse(tb testing.TB, der []byte) *x509.Certificate {
	tb.Helper()
	cert, err := x509.ParseCertificate(der)
	must(tb, err)
	return cert
}
