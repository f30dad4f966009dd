package main

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/keystore"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/store"
)

// errNoCA says that there is nothing to serve. Only init makes a CA.
var errNoCA = errors.New("the database holds no CA: make one with pando init")

// windowLabel says where the window key belongs, as ca.KeyLabel does for the keys of authorities:
// a sealed key cannot be moved to another place, or another CA's database.
func windowLabel(td spiffeid.TrustDomain) []byte { return []byte("window key of " + td.String()) }

// windowKeySize makes the place of a renewal window as hard to guess as a key.
const windowKeySize = 32

// newGeneration makes a root, an intermediate under it, and the first generation that holds
// them. First start is the one time when a root is used before it was published.
func newGeneration(v *vault, cfg *config, td spiffeid.TrustDomain, now time.Time) (store.Generation, error) {
	root, rootRow, err := v.newRoot(cfg, td, now)
	if err != nil {
		return store.Generation{}, err
	}
	intermediateRow, err := v.newIntermediate(cfg, td, root, now)
	if err != nil {
		return store.Generation{}, err
	}
	return v.firstGeneration(td, now, rootRow, intermediateRow)
}

// firstGeneration holds these authorities, and a window key of its own.
func (v *vault) firstGeneration(td spiffeid.TrustDomain, now time.Time, authorities ...store.Authority) (store.Generation, error) {
	windowKey := make([]byte, windowKeySize)
	rand.Read(windowKey) // never fails; see crypto/rand
	sealed, err := v.sealer.Seal(windowKey, windowLabel(td))
	if err != nil {
		return store.Generation{}, fmt.Errorf("seal window key: %w", err)
	}
	for i := range authorities {
		if authorities[i].Role == string(ca.RoleRoot) {
			authorities[i].Sequence = firstSequence
		}
	}
	return store.Generation{
		Number: 1, TrustDomain: td.String(), Sequence: firstSequence, PublishedAt: now, WindowKey: sealed,
		Authorities: authorities,
	}, nil
}

// parent is an authority that is about to sign another one.
type parent struct {
	cert   *x509.Certificate
	signer crypto.Signer
}

// newRoot makes a root: P-384, since it lives for years.
func (v *vault) newRoot(cfg *config, td spiffeid.TrustDomain, now time.Time) (*parent, store.Authority, error) {
	signer, ref, err := v.keys.Create(ca.ECDSAP384, ca.KeyLabel(td, ca.RoleRoot))
	if err != nil {
		return nil, store.Authority{}, fmt.Errorf("make root key: %w", err)
	}
	cert, err := ca.NewRoot(ca.RootConfig{
		TrustDomain: td, Signer: signer, NotBefore: now, NotAfter: now.Add(time.Duration(cfg.Lifetimes.Root)),
	})
	if err != nil {
		return nil, store.Authority{}, err
	}
	return &parent{cert, signer}, newAuthority(cert, ca.RoleRoot, "", ref, now), nil
}

// newIntermediate makes an intermediate under a root: P-256, whose signatures are the fastest
// to make and to verify.
func (v *vault) newIntermediate(cfg *config, td spiffeid.TrustDomain, root *parent, now time.Time) (store.Authority, error) {
	signer, ref, err := v.keys.Create(ca.ECDSAP256, ca.KeyLabel(td, ca.RoleIntermediate))
	if err != nil {
		return store.Authority{}, fmt.Errorf("make intermediate key: %w", err)
	}
	cert, err := ca.NewIntermediate(ca.IntermediateConfig{
		TrustDomain: td, PublicKey: signer.Public(), Parent: root.cert, ParentSigner: root.signer,
		NotBefore: now, NotAfter: now.Add(time.Duration(cfg.Lifetimes.Intermediate)), URLs: cfg.urls(),
	})
	if err != nil {
		return store.Authority{}, err
	}
	row := newAuthority(cert, ca.RoleIntermediate, ca.AuthorityID(root.cert), ref, now)
	row.CRLShards = cfg.CRL.Shards
	return row, nil
}

func newAuthority(cert *x509.Certificate, role ca.Role, parentID string, key []byte, now time.Time) store.Authority {
	return store.Authority{
		ID: ca.AuthorityID(cert), Role: string(role), State: string(ca.StateActive), ParentID: parentID,
		Certificate: cert.Raw, Key: key, StateSince: now,
	}
}

// firstSequence is that of the first trust bundle.
const firstSequence = 1

// openSet opens the keys of a generation and makes the snapshot that requests are served from.
// It refuses a generation of another trust domain, keys that the seal key does not open, and
// keys that do not match their certificates.
func openSet(v *vault, cfg *config, gen *store.Generation, now time.Time) (*ca.Set, error) {
	td, err := cfg.trustDomain()
	if err != nil {
		return nil, err
	}
	if gen.TrustDomain != td.String() {
		return nil, fmt.Errorf("the configuration says trust domain %s, and the database holds the CA of %s", td, gen.TrustDomain)
	}
	windowKey, err := v.sealer.Open(gen.WindowKey, windowLabel(td))
	if errors.Is(err, keystore.ErrOpen) {
		return nil, fmt.Errorf("the seal key is not that of this CA: it needs the one that pando init made with the database (%s, or %s)", cfg.SealKeyFile, sealKeyVariable)
	}
	if err != nil {
		return nil, fmt.Errorf("window key: %w", err)
	}
	set := ca.SetConfig{
		TrustDomain: td, Generation: gen.Number, Sequence: gen.Sequence, PublishedAt: gen.PublishedAt,
		RefreshHint: time.Duration(cfg.RefreshHint), WindowKey: windowKey, URLs: cfg.urls(),
	}
	for _, i := range gen.Incidents {
		set.Incidents = append(set.Incidents, ca.Incident{
			ID: i.ID, Issuers: i.Issuers, IssuedBefore: i.IssuedBefore, Start: i.StartsAt, Deadline: i.Deadline, Rate: i.Rate, Total: i.Total,
		})
	}
	for _, row := range gen.Authorities {
		authority := ca.AuthorityConfig{
			ID: row.ID, Role: ca.Role(row.Role), State: ca.State(row.State), ParentID: row.ParentID, Certificate: row.Certificate,
			CrossParentID: row.CrossParentID, CrossCertificate: row.CrossCertificate, CRLShards: row.CRLShards,
		}
		if len(row.Key) > 0 { // a root may be kept elsewhere; a retired one has no key any more
			if authority.Signer, err = v.keys.Open(row.Key, ca.KeyLabel(td, authority.Role)); err != nil {
				return nil, fmt.Errorf("key of authority %s: %w", row.ID, err)
			}
		}
		set.Authorities = append(set.Authorities, authority)
	}
	return ca.NewSet(set, now)
}
