package rotation

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/store"
)

// ErrRefused says that what was to be imported cannot be adopted. What it is wrapped in says why.
var ErrRefused = errors.New("cannot be adopted")

// ImportStore is what an [Importer] reads and writes.
type ImportStore interface {
	Generations
	store.AuthorityRequests
}

// ImporterConfig configures an [Importer].
type ImporterConfig struct {
	Store       ImportStore // required
	Keys        Keys        // required
	TrustDomain spiffeid.TrustDomain
	Policy      Policy          // required, valid
	Key         ca.KeyAlgorithm // of intermediates; empty means P-256
	CRLShards   int             // of the CRLs of intermediates; 0 means 1
	URLs        ca.URLs         // in the cross-certificates of new roots
}

// Importer lets somebody else sign intermediates: the holder of a root whose key is not at hand.
// Its methods may be called on any replica. They leave an audit row, in the name of by.
type Importer struct{ cfg ImporterConfig }

// NewImporter returns an Importer.
func NewImporter(cfg ImporterConfig) (*Importer, error) {
	if cfg.Store == nil || cfg.Keys == nil || cfg.TrustDomain.IsZero() {
		return nil, errors.New("importer: store, keys or trust domain are missing")
	}
	if err := cfg.Policy.Validate(); err != nil {
		return nil, fmt.Errorf("importer: %w", err)
	}
	if cfg.Key == "" {
		cfg.Key = ca.ECDSAP256
	}
	return &Importer{cfg}, nil
}

// Request returns the request that waits for its certificate. If there is none, or renew says
// that it shall be given up, it makes a key and a request for it.
func (i *Importer) Request(ctx context.Context, renew bool, by string, now time.Time) (*store.AuthorityRequest, error) {
	role := string(ca.RoleIntermediate)
	if renew {
		err := i.cfg.Store.DeleteAuthorityRequest(ctx, role, now, i.audit(by, "authority.request.drop", role, now))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("drop request: %w", err)
		}
	}
	request, err := i.cfg.Store.AuthorityRequest(ctx, role)
	if !errors.Is(err, store.ErrNotFound) {
		return request, err
	}
	signer, ref, err := i.cfg.Keys.Create(i.cfg.Key, ca.KeyLabel(i.cfg.TrustDomain, ca.RoleIntermediate))
	if err != nil {
		return nil, fmt.Errorf("make intermediate key: %w", err)
	}
	csr, err := ca.NewIntermediateRequest(i.cfg.TrustDomain, signer)
	if err != nil {
		return nil, err
	}
	made := store.AuthorityRequest{Role: role, Key: ref, CSR: csr, CreatedAt: now, CreatedBy: by}
	err = i.cfg.Store.CreateAuthorityRequest(ctx, made, i.audit(by, "authority.request", role, now))
	if errors.Is(err, store.ErrExists) { // somebody was faster: theirs is as good
		return i.cfg.Store.AuthorityRequest(ctx, role)
	}
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	return &made, nil
}

func (i *Importer) audit(by, action, target string, now time.Time) store.Audit {
	return store.Audit{At: now, Actor: by, Action: action, Target: target}
}

// Certificates is what was signed for a request: the intermediate, and its root, which may be
// left out when it is known already.
type Certificates struct {
	Intermediate *x509.Certificate
	Root         *x509.Certificate // nil: one of the generation
}

// First returns the rows of the first generation of a CA whose root is elsewhere, both active: a
// root without a key, and the intermediate. It writes nothing.
func (i *Importer) First(ctx context.Context, c Certificates, now time.Time) ([]store.Authority, error) {
	if c.Root == nil {
		return nil, refused(errors.New("the root is missing: its certificate belongs beside the intermediate's"))
	}
	key, err := i.requested(ctx, c, now)
	if err != nil {
		return nil, err
	}
	root := row(c.Root, ca.RoleRoot, ca.StateActive, now)
	intermediate := row(c.Intermediate, ca.RoleIntermediate, ca.StateActive, now)
	intermediate.CRLShards = i.cfg.CRLShards
	intermediate.ParentID, intermediate.Key = root.ID, key
	return []store.Authority{root, intermediate}, nil
}

// Import adopts an intermediate that was signed for the request, and returns the IDs of what it
// added. Under the active root it issues from now on, and the one before it is retiring. With a
// root that is not known yet both are prepared, and activated as any other root is. It wraps
// [ErrRefused], and store.ErrConflict when the generation was changed meanwhile.
func (i *Importer) Import(ctx context.Context, c Certificates, by string, now time.Time) ([]string, error) {
	gen, err := i.cfg.Store.Generation(ctx)
	if err != nil {
		return nil, fmt.Errorf("read generation: %w", err)
	}
	v, err := look(gen)
	if err != nil {
		return nil, err
	}
	root := v.signerOf(&c)
	if c.Root == nil {
		return nil, refused(errors.New("its root is not one of this CA, and did not come with it: put the root's certificate behind it"))
	}
	if v.has(ca.AuthorityID(c.Intermediate)) {
		return nil, refused(fmt.Errorf("authority %s is there already", ca.AuthorityID(c.Intermediate)))
	}
	key, err := i.requested(ctx, c, now)
	if err != nil {
		return nil, err
	}
	if err := v.refuseImport(c, root, i.cfg.Policy, now); err != nil {
		return nil, err
	}
	next, added, err := i.adopt(v, root, c, now)
	if err != nil {
		return nil, err
	}
	next.Authorities[len(next.Authorities)-1].Key = key
	step := Step{Kind: StepImport, Reason: "signed elsewhere, imported by " + by}
	if err := i.cfg.Store.ReplaceGeneration(ctx, gen.Number, *next, store.Fence{}, audits(gen, next, step, by, now)...); err != nil {
		return nil, fmt.Errorf("import: %w", err)
	}
	return added, nil
}

// refuseImport refuses what is good in itself and not in this generation; root is nil when it is
// a new one.
func (v *view) refuseImport(c Certificates, root *authority, p Policy, now time.Time) error {
	for _, a := range v.all {
		switch {
		case samePublicKey(a.cert, c.Intermediate):
			return refused(fmt.Errorf("the intermediate has the key of authority %s", a.ID))
		case root == nil && samePublicKey(a.cert, c.Root):
			// To revoke the one would have clients refuse the other: they know revoked authorities by key.
			return refused(fmt.Errorf("the root has the key of root %s: a new root needs a key of its own", a.ID))
		}
	}
	// Under a new root it begins to issue once that is known, and must cover a leaf then.
	if least := now.Add(p.spread() + p.cover()); root == nil && c.Intermediate.NotAfter.Before(least) {
		return refused(fmt.Errorf("the intermediate ends at %s: its root is known everywhere %s after the import, so that it must last until %s",
			instant(c.Intermediate.NotAfter), p.spread(), instant(least)))
	}
	return nil
}

func samePublicKey(a, b *x509.Certificate) bool {
	return bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}

// adopt is the generation with the imported authorities, of which the intermediate is the last.
// root is nil when it is a new one.
func (i *Importer) adopt(v *view, root *authority, c Certificates, now time.Time) (*store.Generation, []string, error) {
	next := *v.gen
	next.Number++
	next.Authorities = slices.Clone(v.gen.Authorities)
	intermediate := row(c.Intermediate, ca.RoleIntermediate, ca.StateActive, now)
	intermediate.CRLShards = i.cfg.CRLShards
	intermediate.ParentID = ca.AuthorityID(c.Root)
	switch {
	case root == nil:
		added, err := i.newRoot(v, c.Root, now)
		if err != nil {
			return nil, nil, err
		}
		intermediate.State = string(ca.StatePrepared)
		next.Authorities = append(next.Authorities, added, intermediate)
		publish(v.gen, &next, now)
		return &next, []string{added.ID, intermediate.ID}, nil
	case root != v.root:
		return nil, nil, refused(fmt.Errorf("its root %s is %s; an intermediate is imported under the active root or a new one", root.ID, root.State))
	}
	for at := range next.Authorities {
		if a := &next.Authorities[at]; a.ID == v.issuer.ID {
			enter(a, ca.StateRetiring, now)
		}
	}
	next.Authorities = append(next.Authorities, intermediate)
	return &next, []string{intermediate.ID}, nil
}

// newRoot is the row of a prepared root. The active one cross-signs it if its key is at hand.
func (i *Importer) newRoot(v *view, cert *x509.Certificate, now time.Time) (store.Authority, error) {
	added := row(cert, ca.RoleRoot, ca.StatePrepared, now)
	switch {
	case v.next != nil:
		return added, refused(fmt.Errorf("root %s is prepared already: import when it is active", v.next.ID))
	case len(v.root.Key) == 0 || !now.Before(v.root.cert.NotAfter):
		return added, nil
	}
	if err := v.refuseAnotherRoot(); err != nil {
		return added, refused(err)
	}
	m := maker{keys: i.cfg.Keys, policy: i.cfg.Policy}
	signer, err := m.open(v.root)
	if err != nil {
		return added, err
	}
	cross, err := ca.CrossSign(ca.CrossConfig{TrustDomain: i.cfg.TrustDomain, Root: cert, Parent: v.root.cert, ParentSigner: signer, URLs: i.cfg.URLs})
	if err != nil {
		return added, err
	}
	added.CrossParentID, added.CrossCertificate = v.root.ID, cross.Raw
	return added, nil
}

// requested returns the key of the request that c answers, after checking all of c.
func (i *Importer) requested(ctx context.Context, c Certificates, now time.Time) ([]byte, error) {
	request, err := i.cfg.Store.AuthorityRequest(ctx, string(ca.RoleIntermediate))
	if errors.Is(err, store.ErrNotFound) {
		return nil, refused(errors.New("no request waits for a certificate: pando authority csr makes one"))
	}
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	signer, err := i.cfg.Keys.Open(request.Key, ca.KeyLabel(i.cfg.TrustDomain, ca.RoleIntermediate))
	if err != nil {
		return nil, fmt.Errorf("key of the request: %w", err)
	}
	return request.Key, i.check(c, signer, now)
}

func (i *Importer) check(c Certificates, signer crypto.Signer, now time.Time) error {
	imported := ca.Imported{
		TrustDomain: i.cfg.TrustDomain, Intermediate: c.Intermediate, Root: c.Root, Signer: signer, Covers: i.cfg.Policy.cover(),
	}
	if err := imported.Check(now); err != nil {
		return refused(err)
	}
	return nil
}

// refusal is an error that wraps ErrRefused and reads like its cause.
type refusal struct{ cause error }

func refused(cause error) error { return &refusal{cause} }

// Error implements error.
func (r *refusal) Error() string { return r.cause.Error() }

// Unwrap makes the refusal an ErrRefused.
func (r *refusal) Unwrap() []error { return []error{ErrRefused, r.cause} }

func row(cert *x509.Certificate, role ca.Role, state ca.State, now time.Time) store.Authority {
	return store.Authority{
		ID: ca.AuthorityID(cert), Role: string(role), State: string(state), Certificate: cert.Raw, StateSince: now,
	}
}

// signerOf returns the root of the generation that signed the intermediate, and completes c with
// it; nil if there is none, or c names another one.
func (v *view) signerOf(c *Certificates) *authority {
	for _, a := range v.all {
		if a.Role != string(ca.RoleRoot) || c.Root != nil && !c.Root.Equal(a.cert) {
			continue
		}
		if c.Root != nil || bytes.Equal(a.cert.RawSubject, c.Intermediate.RawIssuer) && c.Intermediate.CheckSignatureFrom(a.cert) == nil {
			c.Root = a.cert
			return a
		}
	}
	return nil
}

func (v *view) has(id string) bool { return v.any(func(a *authority) bool { return a.ID == id }) }
