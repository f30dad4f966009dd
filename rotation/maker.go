package rotation

import (
	"crypto"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

// Keys makes and opens the keys of authorities; see package keystore. What it makes is nowhere
// but in the reference that it returns: one that no generation came to hold is as good as
// destroyed.
type Keys interface {
	Create(alg ca.KeyAlgorithm, label string) (crypto.Signer, []byte, error)
	Open(ref []byte, label string) (crypto.Signer, error)
}

// maker makes the keys and certificates that steps need. It writes nothing.
type maker struct {
	keys                     Keys
	policy                   Policy
	urls                     ca.URLs
	rootKey, intermediateKey ca.KeyAlgorithm
	crlShards                int // of new intermediates
}

// materials returns the rows that a step adds to the generation.
func (m *maker) materials(v *view, step Step, now time.Time) ([]store.Authority, error) {
	var row store.Authority
	var err error
	switch step.Kind {
	case StepPrepareRoot:
		row, err = m.root(v, now)
	case StepActivateRoot:
		if v.imported(v.next) != nil {
			return nil, nil // it came with its root
		}
		row, err = m.intermediate(v.next, now)
	case StepRotateIntermediate:
		row, err = m.intermediate(v.root, now)
	default:
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []store.Authority{row}, nil
}

// root makes a root and its cross-certificate by the active one. It has the organisation of
// the active one.
func (m *maker) root(v *view, now time.Time) (store.Authority, error) {
	var none store.Authority
	td, err := ca.TrustDomainOf(v.root.cert)
	if err != nil {
		return none, err
	}
	signer, ref, err := m.keys.Create(m.rootKey, ca.KeyLabel(td, ca.RoleRoot))
	if err != nil {
		return none, fmt.Errorf("make root key: %w", err)
	}
	cfg := ca.RootConfig{
		TrustDomain: td, Signer: signer, NotBefore: m.begin(now), NotAfter: now.Add(m.policy.RootLifetime),
	}
	if names := v.root.cert.Subject.Organization; len(names) > 0 {
		cfg.Organization = names[0]
	}
	cert, err := ca.NewRoot(cfg)
	if err != nil {
		return none, err
	}
	row := store.Authority{
		ID: ca.AuthorityID(cert), Role: string(ca.RoleRoot), State: string(ca.StatePrepared),
		Certificate: cert.Raw, Key: ref, StateSince: now,
	}
	if !now.Before(v.root.cert.NotAfter) {
		return row, nil // a root that has ended leads nobody anywhere
	}
	parent, err := m.open(v.root)
	if err != nil {
		return none, err
	}
	cross, err := ca.CrossSign(ca.CrossConfig{TrustDomain: td, Root: cert, Parent: v.root.cert, ParentSigner: parent, URLs: m.urls})
	if err != nil {
		return none, err
	}
	row.CrossParentID, row.CrossCertificate = v.root.ID, cross.Raw
	return row, nil
}

// intermediate makes an intermediate under parent, to be active at once. It does not outlive it.
func (m *maker) intermediate(parent *authority, now time.Time) (store.Authority, error) {
	var none store.Authority
	td, err := ca.TrustDomainOf(parent.cert)
	if err != nil {
		return none, err
	}
	parentSigner, err := m.open(parent)
	if err != nil {
		return none, err
	}
	signer, ref, err := m.keys.Create(m.intermediateKey, ca.KeyLabel(td, ca.RoleIntermediate))
	if err != nil {
		return none, fmt.Errorf("make intermediate key: %w", err)
	}
	cert, err := ca.NewIntermediate(ca.IntermediateConfig{
		TrustDomain: td, PublicKey: signer.Public(), Parent: parent.cert, ParentSigner: parentSigner, URLs: m.urls,
		NotBefore: later(m.begin(now), parent.cert.NotBefore.Add(ca.MaxSkew)),
		NotAfter:  earlier(now.Add(m.policy.IntermediateLifetime), parent.cert.NotAfter),
	})
	if err != nil {
		return none, err
	}
	return store.Authority{
		ID: ca.AuthorityID(cert), Role: string(ca.RoleIntermediate), State: string(ca.StateActive), ParentID: parent.ID,
		Certificate: cert.Raw, Key: ref, StateSince: now, CRLShards: m.crlShards,
	}, nil
}

// begin is the first use of an authority that is made now. A replica whose clock is behind
// must be able to adopt it in this second, and to sign.
func (m *maker) begin(now time.Time) time.Time { return now.Add(-m.policy.Skew) }

func (m *maker) open(a *authority) (crypto.Signer, error) {
	if len(a.Key) == 0 {
		return nil, fmt.Errorf("authority %s: %w", a.ID, errNoKey)
	}
	td, err := ca.TrustDomainOf(a.cert)
	if err != nil {
		return nil, err
	}
	signer, err := m.keys.Open(a.Key, ca.KeyLabel(td, ca.Role(a.Role)))
	if err != nil {
		return nil, fmt.Errorf("authority %s: %w", a.ID, err)
	}
	return signer, nil
}

// errNoKey says that the key of an authority is kept elsewhere.
var errNoKey = errors.New("its key is not at hand")
