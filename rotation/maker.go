package rotation

import (
	"crypto"
	"crypto/x509"
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

// need is what is to be made for a step.
type need struct {
	root         bool       // a root, prepared
	intermediate bool       // an intermediate, active
	under        *authority // its parent; nil: the root that is made
}

// needs says what a step adds to the generation.
func (v *view) needs(step Step) need {
	switch {
	case step.Kind == StepPrepareRoot:
		return need{root: true}
	case step.Kind == StepActivateRoot, step.Kind == StepTaint && step.Authority == v.root.ID && v.next != nil:
		if v.imported(v.next) != nil {
			return need{} // it came with its root
		}
		return need{intermediate: true, under: v.next}
	case step.Kind == StepTaint && step.Authority == v.root.ID:
		return need{root: true, intermediate: true}
	case step.Kind == StepRotateIntermediate, step.Kind == StepTaint && step.Authority == v.issuer.ID:
		return need{intermediate: true, under: v.root}
	}
	return need{}
}

// outlines stand for what is to be made where nothing is to happen: rows without an ID.
func (n need) outlines() []store.Authority {
	var rows []store.Authority
	if n.root {
		rows = append(rows, store.Authority{Role: string(ca.RoleRoot), State: string(ca.StatePrepared)})
	}
	if n.intermediate {
		rows = append(rows, store.Authority{Role: string(ca.RoleIntermediate), State: string(ca.StateActive)})
	}
	return rows
}

// materials makes the rows that a step adds to the generation.
func (m *maker) materials(v *view, step Step, now time.Time) ([]store.Authority, error) {
	n := v.needs(step)
	var rows []store.Authority
	if n.root {
		row, err := m.root(v, now)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	if !n.intermediate {
		return rows, nil
	}
	if n.under == nil {
		cert, err := x509.ParseCertificate(rows[0].Certificate)
		if err != nil {
			return nil, err
		}
		n.under = &authority{Authority: rows[0], cert: cert}
	}
	row, err := m.intermediate(n.under, now)
	if err != nil {
		return nil, err
	}
	return append(rows, row), nil
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
		return nil, fmt.Errorf("authority %s: %w", a.ID, ErrNoKey)
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

// ErrNoKey says that the key of an authority that has to sign is kept elsewhere.
var ErrNoKey = errors.New("its key is not at hand")
