package rotation_test

import (
	"context"
	"crypto"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/store"
)

// rotatorOn is a rotator on a store in memory that holds gen, whose keys are those of signers.
func rotatorOn(t *testing.T, gen *store.Generation, now *time.Time) (*rotation.Rotator, *modelStore, *[]store.Audit) {
	t.Helper()
	var audits []store.Audit
	s := &modelStore{
		clock: func() time.Time { return *now }, gen: gen, records: make(map[int]*modelRecord), acks: make(map[int]uint64),
		replaced: func(_, _ *store.Generation, rows []store.Audit) { audits = append(audits, rows...) },
	}
	r, err := rotation.NewRotator(rotation.RotatorConfig{
		Store: s, Keys: &modelKeys{made: make(map[string]crypto.Signer), make: newP256}, Policy: planPolicy, Holder: "a",
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, s, &audits
}

// TestTickDoesWhatItCan has a root whose key cannot be opened: it does not sign, and others retire.
func TestTickDoesWhatItCan(t *testing.T) {
	gen := phases(t)["rotating"]
	gen.Authorities[newRoot].Key = []byte("lost")
	now := planNoon.Add(120 * time.Hour)
	r, s, audits := rotatorOn(t, gen, &now)
	err := r.Tick(context.Background(), now)
	if err == nil || !strings.Contains(err.Error(), "no such key") {
		t.Errorf("error %v, want one about the key", err)
	}
	if len(*audits) != 2 || s.gen.Authorities[oldRoot].State != "retired" || s.gen.Authorities[oldIssuer].Key != nil {
		t.Errorf("old root is %s; %d audit rows", s.gen.Authorities[oldRoot].State, len(*audits))
	}
	if status := r.Status(); !status.LastTick.IsZero() {
		t.Errorf("a tick that failed is noted as %+v", status)
	}
}

func TestLeaseOfTwoRotators(t *testing.T) {
	now := planNoon
	a, s, _ := rotatorOn(t, phases(t)["steady"], &now)
	b, err := rotation.NewRotator(rotation.RotatorConfig{
		Store: s, Keys: &modelKeys{made: make(map[string]crypto.Signer), make: newP256}, Policy: planPolicy, Holder: "b",
	})
	if err != nil {
		t.Fatal(err)
	}
	tick := func(r *rotation.Rotator, leads bool, term uint64) {
		t.Helper()
		if err := r.Tick(context.Background(), now); err != nil {
			t.Fatal(err)
		}
		if got := r.Status(); got != (rotation.RotatorStatus{Leader: leads, Term: term, LastTick: now}) {
			t.Errorf("status %+v, want leader %t of term %d", got, leads, term)
		}
	}
	tick(a, true, 1)
	tick(b, false, 0)
	now = now.Add(2 * time.Minute) // the lease has run out
	tick(b, true, 2)
	tick(a, false, 0)
	if err := a.Release(context.Background()); err != nil || s.lease.Holder != "b" {
		t.Errorf("the lease of %q was released by another, %v", s.lease.Holder, err)
	}
	if err := b.Release(context.Background()); err != nil || b.Status().Leader {
		t.Errorf("release: %v, leader %t", err, b.Status().Leader)
	}
	tick(a, true, 3) // without waiting
}

func TestNewRotatorRefuses(t *testing.T) {
	now := planNoon
	_, s, _ := rotatorOn(t, phases(t)["steady"], &now)
	for name, spoil := range map[string]func(*rotation.RotatorConfig){
		"no store":         func(c *rotation.RotatorConfig) { c.Store = nil },
		"no keys":          func(c *rotation.RotatorConfig) { c.Keys = nil },
		"no holder":        func(c *rotation.RotatorConfig) { c.Holder = "" },
		"no policy":        func(c *rotation.RotatorConfig) { c.Policy = rotation.Policy{} },
		"a negative lease": func(c *rotation.RotatorConfig) { c.LeaseTTL = -1 },
		"a URL that is none": func(c *rotation.RotatorConfig) {
			c.URLs = ca.URLs{CRL: "crl"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := rotation.RotatorConfig{Store: s, Keys: &modelKeys{}, Policy: planPolicy, Holder: "a"}
			spoil(&cfg)
			if _, err := rotation.NewRotator(cfg); err == nil {
				t.Error("no error")
			}
		})
	}
}

// TestIntermediateIsNotOlderThanItsRoot replaces the intermediate of a root that is younger than
// the skew by which the successor is backdated.
func TestIntermediateIsNotOlderThanItsRoot(t *testing.T) {
	w := newWorld(1, sabotage{})
	policy := modelPolicy
	policy.IntermediateEvery = time.Minute
	r, err := rotation.NewRotator(rotation.RotatorConfig{Store: w.store, Keys: w.keys, Policy: policy, Holder: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Tick(context.Background(), w.now.Add(time.Minute)); err != nil || w.wrong != nil {
		t.Fatalf("%v, %v", err, w.wrong)
	}
	if w.store.gen.Number != 2 {
		t.Errorf("generation %d, want 2", w.store.gen.Number)
	}
}

// TestAuditsOfARotation is what is left to read of a rotation that nobody watched: who, what,
// to which authority, and why.
func TestAuditsOfARotation(t *testing.T) {
	w := newWorld(1, sabotage{})
	var got []string
	w.store.replaced = func(_, next *store.Generation, rows []store.Audit) {
		for _, row := range rows {
			if row.Actor != "pando rotation" || row.Detail["reason"] == "" || row.Detail["step"] == "" {
				t.Errorf("audit %+v lacks its actor, reason or step", row)
			}
			got = append(got, row.Detail["generation"]+" "+row.Action+" "+row.Detail["role"])
		}
	}
	policy := modelPolicy
	policy.IntermediateEvery, policy.IntermediateLifetime, policy.RootLifetime = 3*time.Hour, 4*time.Hour, 7*time.Hour
	r, err := rotation.NewRotator(rotation.RotatorConfig{Store: w.store, Keys: w.keys, Policy: policy, Holder: "a"})
	if err != nil {
		t.Fatal(err)
	}
	began := w.now
	for _, after := range []time.Duration{70 * time.Minute, 2 * time.Hour, 3 * time.Hour} {
		w.now = began.Add(after)
		if err := r.Tick(context.Background(), w.now); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		// After 70 minutes: the first intermediate, and then its root, end too soon for this policy.
		"2 authority.supersede intermediate", "2 authority.activate intermediate", "3 authority.prepare root",
		// After two hours: the time of the spread gate has come, and nothing is left under the first one.
		"4 authority.supersede root", "4 authority.supersede intermediate", "4 authority.activate root", "4 authority.activate intermediate",
		"5 authority.retire intermediate",
		// After three hours.
		"6 authority.retire intermediate", "7 authority.retire root", "8 authority.drop intermediate",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("audits (-want +got):\n%s", diff)
	}
}
