package rotation_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/sqlite"
)

// offline is a CA whose root's key is in nobody's hands but the test's.
type offline struct {
	t        *testing.T
	td       spiffeid.TrustDomain
	now      time.Time
	rootKey  crypto.Signer
	root     *x509.Certificate
	db       *sqlite.Store
	keys     *modelKeys
	importer *rotation.Importer
	rotator  *rotation.Rotator
}

func newOffline(t *testing.T) *offline {
	t.Helper()
	db, err := sqlite.OpenMemory(t.Context())
	o := &offline{t: t, now: planNoon, db: db, keys: &modelKeys{made: make(map[string]crypto.Signer), make: newP256}}
	o.must(err)
	t.Cleanup(func() { o.must(db.Close()) })
	o.td, err = spiffeid.ParseTrustDomain("example.org")
	o.must(err)
	o.rootKey, o.root = o.newRoot()
	o.importer, err = rotation.NewImporter(rotation.ImporterConfig{Store: db, Keys: o.keys, TrustDomain: o.td, Policy: planPolicy})
	o.must(err)
	o.rotator, err = rotation.NewRotator(rotation.RotatorConfig{Store: db, Keys: o.keys, Policy: planPolicy, Holder: "a"})
	o.must(err)
	rows, err := o.importer.First(t.Context(), o.sign(o.rootKey, o.root, true), o.now)
	o.must(err)
	o.must(db.ReplaceGeneration(t.Context(), 0, store.Generation{
		Number: 1, TrustDomain: "example.org", Sequence: 1, PublishedAt: o.now, WindowKey: []byte{1}, Authorities: rows,
	}, store.Fence{}))
	return o
}

func (o *offline) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

func (o *offline) newRoot() (crypto.Signer, *x509.Certificate) {
	o.t.Helper()
	key := catest.Key(o.t, ca.ECDSAP256)
	root, err := ca.NewRoot(ca.RootConfig{TrustDomain: o.td, Signer: key, NotBefore: o.now, NotAfter: o.now.Add(planPolicy.RootLifetime)})
	o.must(err)
	return key, root
}

// sign answers the request that waits, after making one.
func (o *offline) sign(rootKey crypto.Signer, root *x509.Certificate, withRoot bool) rotation.Certificates {
	o.t.Helper()
	request, err := o.importer.Request(o.t.Context(), false, "admin", o.now)
	o.must(err)
	public, err := ca.ParseIntermediateRequest(request.CSR, o.td)
	o.must(err)
	cert, err := ca.NewIntermediate(ca.IntermediateConfig{
		TrustDomain: o.td, PublicKey: public, Parent: root, ParentSigner: rootKey,
		NotBefore: o.now, NotAfter: o.now.Add(planPolicy.IntermediateLifetime),
	})
	o.must(err)
	c := rotation.Certificates{Intermediate: cert}
	if withRoot {
		c.Root = root
	}
	return c
}

// states are the roles and states of the generation, in their order.
func (o *offline) states() []string {
	o.t.Helper()
	gen, err := o.db.Generation(o.t.Context())
	o.must(err)
	var states []string
	for _, a := range gen.Authorities {
		states = append(states, a.Role+" "+a.State)
	}
	return states
}

func (o *offline) want(what string, states ...string) {
	o.t.Helper()
	if diff := cmp.Diff(states, o.states()); diff != "" {
		o.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestOfflineRootNeverFailsATick(t *testing.T) {
	o := newOffline(t)
	for _, after := range []time.Duration{0, 100 * time.Hour, 400 * time.Hour, 10_000 * time.Hour} {
		o.must(o.rotator.Tick(t.Context(), planNoon.Add(after)))
		o.want("nothing is made by itself", "root active", "intermediate active")
	}
	_, gates, err := o.rotator.Gates(t.Context(), planNoon)
	o.must(err)
	for at, want := range []string{
		"it is kept offline, and its successor must be imported with an intermediate; due at ",
		"its successor must be signed by the offline root: pando authority csr, then import; due at ",
	} {
		if !strings.HasPrefix(gates[at].Waiting, want) || gates[at].OpensAt.IsZero() {
			t.Errorf("gate %+v, want %q", gates[at], want)
		}
	}
}

func TestImportUnderTheActiveRoot(t *testing.T) {
	o := newOffline(t)
	o.now = o.now.Add(90 * time.Hour)
	c := o.sign(o.rootKey, o.root, false)
	added, err := o.importer.Import(t.Context(), c, "admin", o.now)
	o.must(err)
	if diff := cmp.Diff([]string{ca.AuthorityID(c.Intermediate)}, added); diff != "" {
		t.Errorf("added (-want +got):\n%s", diff)
	}
	o.want("a step of a rotation", "root active", "intermediate retiring", "intermediate active")
	audits, err := o.db.Audits(t.Context(), store.AuditFilter{Limit: 10})
	o.must(err)
	var rows []string
	for _, a := range audits {
		rows = append(rows, a.Actor+" "+a.Action)
	}
	if diff := cmp.Diff([]string{"admin authority.activate", "admin authority.supersede", "admin authority.request", "admin authority.request"}, rows); diff != "" {
		t.Errorf("audit rows (-want +got):\n%s", diff)
	}
	o.refuses("the same again", c, "is there already")
	again := o.sign(o.rootKey, o.root, true)
	for range 2 { // asking twice is asking once
		same := o.sign(o.rootKey, o.root, true)
		if !same.Intermediate.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(again.Intermediate.PublicKey) {
			t.Error("a second request was made")
		}
	}
	renewed, err := o.importer.Request(t.Context(), true, "admin", o.now)
	o.must(err)
	if public, err := ca.ParseIntermediateRequest(renewed.CSR, o.td); err != nil || again.Intermediate.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(public) {
		t.Errorf("the request was not renewed, %v", err)
	}
	o.refuses("one for a request that was given up", again, "not for the key that was requested")
	o.now = o.now.Add(planPolicy.LongestLeaf + 3*planPolicy.Skew)
	o.must(o.rotator.Tick(t.Context(), o.now))
	o.want("the old one retires by itself", "root active", "intermediate retired", "intermediate active")
}

func (o *offline) refuses(what string, c rotation.Certificates, want string) {
	o.t.Helper()
	before := o.states()
	_, err := o.importer.Import(o.t.Context(), c, "admin", o.now)
	if !errors.Is(err, rotation.ErrRefused) || !strings.Contains(err.Error(), want) {
		o.t.Errorf("%s: %v, want %q", what, err, want)
	}
	o.want(what, before...)
}

func TestImportANewRoot(t *testing.T) {
	o := newOffline(t)
	key, root := o.newRoot()
	o.refuses("a root that nobody knows, left out", o.sign(key, root, false), "its root is not one of this CA")
	c := o.sign(key, root, true)
	added, err := o.importer.Import(t.Context(), c, "admin", o.now)
	o.must(err)
	if len(added) != 2 || added[0] != ca.AuthorityID(root) {
		t.Errorf("added %q", added)
	}
	o.want("published, and used by nobody", "root active", "intermediate active", "root prepared", "intermediate prepared")
	gen, err := o.db.Generation(t.Context())
	o.must(err)
	if gen.Sequence != 2 || gen.Authorities[2].Sequence != 2 || len(gen.Authorities[2].Key) > 0 {
		t.Errorf("sequence %d, root %+v", gen.Sequence, gen.Authorities[2])
	}
	o.refuses("a second new root", o.withRoot(), "is prepared already")
	_, gates, err := o.rotator.Gates(t.Context(), o.now)
	o.must(err)
	if want := "waiting: it issues once its root " + added[0] + " is activated"; gates[3].Waiting != want {
		t.Errorf("gate %q, want %q", gates[3].Waiting, want)
	}
	// Without a cross-certificate the gate opens by time alone.
	o.now = o.now.Add(planPolicy.LongestLeaf + planPolicy.Skew)
	o.must(o.rotator.Tick(t.Context(), o.now.Add(-time.Second)))
	o.want("before the gate opens", "root active", "intermediate active", "root prepared", "intermediate prepared")
	o.must(o.rotator.Tick(t.Context(), o.now))
	o.want("the root and what came with it", "root retiring", "intermediate retiring", "root active", "intermediate active")
	o.refuses("under the old root", o.sign(o.rootKey, o.root, true), "an intermediate is imported under the active root or a new one")
	// The key of the active root may be copied while the old one is in use: its successor need not wait.
	_, err = o.importer.Import(t.Context(), o.withRoot(), "admin", o.now)
	o.must(err)
	o.want("one more root", "root retiring", "intermediate retiring", "root active", "intermediate active", "root prepared", "intermediate prepared")
}

// withRoot is an answer by one more root.
func (o *offline) withRoot() rotation.Certificates {
	key, root := o.newRoot()
	return o.sign(key, root, true)
}

// TestImportOverOwnRoot moves a CA that has its root's key to an offline root: the old root
// cross-signs the new one.
func TestImportOverOwnRoot(t *testing.T) {
	o := newOffline(t)
	gen, err := o.db.Generation(context.Background())
	o.must(err)
	ref := ca.KeyLabel(o.td, ca.RoleRoot) + " #own"
	o.keys.made[ref] = o.rootKey
	gen.Number++
	gen.Authorities[0].Key = []byte(ref)
	o.must(o.db.ReplaceGeneration(t.Context(), 1, *gen, store.Fence{}))
	key, root := o.newRoot()
	_, err = o.importer.Import(t.Context(), o.sign(key, root, true), "admin", o.now)
	o.must(err)
	gen, err = o.db.Generation(t.Context())
	o.must(err)
	if gen.Authorities[2].CrossParentID != gen.Authorities[0].ID {
		t.Errorf("the new root is not cross-signed: %+v", gen.Authorities[2])
	}
}

func TestImportRefusesWhatTheGenerationCannotUse(t *testing.T) {
	o := newOffline(t)
	key, root := o.newRoot()
	c := o.sign(key, root, true)
	again, err := ca.NewRoot(ca.RootConfig{TrustDomain: o.td, Signer: o.rootKey, NotBefore: o.now, NotAfter: o.now.Add(2 * planPolicy.RootLifetime)})
	o.must(err)
	o.refuses("a new certificate for the key of a root that there is", o.sign(o.rootKey, again, true), "a new root needs a key of its own")
	short := c
	request, err := o.importer.Request(t.Context(), false, "admin", o.now)
	o.must(err)
	public, err := ca.ParseIntermediateRequest(request.CSR, o.td)
	o.must(err)
	short.Intermediate, err = ca.NewIntermediate(ca.IntermediateConfig{
		TrustDomain: o.td, PublicKey: public, Parent: root, ParentSigner: key,
		NotBefore: o.now, NotAfter: o.now.Add(2 * planPolicy.LongestLeaf),
	})
	o.must(err)
	o.refuses("an intermediate that covers no leaf when its root is known", short, "is known everywhere")
}

func TestImportWithoutARequest(t *testing.T) {
	o := newOffline(t)
	c := o.sign(o.rootKey, o.root, true)
	o.must(o.db.DeleteAuthorityRequest(t.Context(), "intermediate", o.now, store.Audit{At: o.now, Actor: "admin", Action: "a"}))
	o.refuses("nothing was asked for", c, "pando authority csr makes one")
}
