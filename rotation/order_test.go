package rotation_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/store"
)

// hands is a rotator on a generation whose keys it has, an hour after noon.
type hands struct {
	*rotation.Rotator
	*world
}

// newHands is a world in which nobody lives, and only this test does something.
func newHands(t *testing.T) *hands {
	t.Helper()
	w := newWorld(1, sabotage{})
	r, err := rotation.NewRotator(rotation.RotatorConfig{Store: w.store, Keys: w.keys, Policy: modelPolicy, Holder: "test", LeaseTTL: modelLeaseTTL})
	if err != nil {
		t.Fatal(err)
	}
	w.store.replaced = func(before, next *store.Generation, _ []store.Audit) {
		w.checkGeneration(before, next)
		w.adoptable()
	}
	return &hands{r, w}
}

// certificates has a number of workloads get a certificate of the active issuer for half an hour.
func (h *hands) certificates(t *testing.T, n int) (serials []int) {
	t.Helper()
	for _, a := range h.store.gen.Authorities {
		for i := 0; i < n && a.Role == "intermediate" && a.State == "active"; i++ {
			serial, err := h.store.insert(modelRecord{a.ID, h.now, h.now.Add(30 * time.Minute), 0, h.now})
			if err != nil {
				t.Fatal(err)
			}
			serials = append(serials, serial)
		}
	}
	return serials
}

// states are the authorities as "role state", in their order.
func (h *hands) states() string {
	var all []string
	for _, a := range h.store.gen.Authorities {
		all = append(all, a.Role[:1]+" "+a.State)
	}
	return strings.Join(all, ", ")
}

// order carries out an order for the authority at a place of the generation.
func (h *hands) order(o rotation.Order, place int, dry bool) (*rotation.Outcome, error) {
	o.Actor = handActor
	if o.Authority == "" && place >= 0 {
		o.Authority = h.store.gen.Authorities[place].ID
	}
	return h.Carry(context.Background(), o, dry, h.now)
}

func (h *hands) must(t *testing.T, o rotation.Order, place int) *rotation.Outcome {
	t.Helper()
	done, err := h.order(o, place, false)
	if err != nil {
		t.Fatal(err)
	}
	if h.wrong != nil {
		t.Fatal(h.wrong)
	}
	return done
}

const root0, issuer0, root1, issuer1 = 0, 1, 2, 3

// TestOrders is the table of states and actions: what each leads to, or the sentence that refuses it.
func TestOrders(t *testing.T) {
	type step struct {
		order rotation.Order
		place int
	}
	const why = "key was copied"
	taint := func(place int) step { return step{rotation.Order{Action: rotation.ActTaint, Reason: why}, place} }
	revoke := func(place int) step { return step{rotation.Order{Action: rotation.ActRevoke, Reason: why}, place} }
	forced := func(s step) step { s.order.Force = true; return s }
	prepare := step{rotation.Order{Action: rotation.ActPrepare}, -1}
	activate := func(place int) step { return step{rotation.Order{Action: rotation.ActActivate}, place} }
	rotate := func(role ca.Role) step { return step{rotation.Order{Action: rotation.ActRotate, Role: role}, -1} }
	for name, tt := range map[string]struct {
		before []step
		order  step
		want   string // states, or the refusal
		force  bool   // whether force would do it
	}{
		"prepare a root":                         {order: prepare, want: "r active, i active, r prepared"},
		"prepare another":                        {before: []step{prepare}, order: prepare, want: "is prepared already: activate it"},
		"rotate the root":                        {order: rotate(ca.RoleRoot), want: "r active, i active, r prepared"},
		"rotate the intermediate":                {order: rotate(ca.RoleIntermediate), want: "r active, i retiring, i active"},
		"rotate nothing":                         {order: rotate(""), want: `no action "rotate" of role ""`},
		"activate before the gate opens":         {before: []step{prepare}, order: activate(root1), want: "its gate is not open: waiting: nobody follows", force: true},
		"activate before the gate opens, forced": {before: []step{prepare}, order: forced(activate(root1)), want: "r retiring, i retiring, r active, i active"},
		"activate what is active":                {order: activate(root0), want: "is active: only a prepared root can be activated"},
		"activate an intermediate":               {order: activate(issuer0), want: "only a prepared root"},
		"taint the active intermediate":          {order: taint(issuer0), want: "r active, i tainted, i active"},
		"taint the active root":                  {order: taint(root0), want: "r tainted, i tainted, r active, i active"},
		"taint it when a successor is prepared":  {before: []step{prepare}, order: taint(root0), want: "r tainted, i tainted, r active, i active"},
		"taint a prepared root":                  {before: []step{prepare}, order: taint(root1), want: "r active, i active, r tainted"},
		"taint a retiring intermediate":          {before: []step{rotate(ca.RoleIntermediate)}, order: taint(issuer0), want: "r active, i tainted, i active"},
		"taint a retiring root": {
			before: []step{prepare, forced(activate(root1))}, order: taint(root0), want: "r tainted, i tainted, r active, i active",
		},
		"taint without a reason":         {order: step{rotation.Order{Action: rotation.ActTaint}, issuer0}, want: "taint needs a reason"},
		"taint what is tainted":          {before: []step{taint(issuer0)}, order: taint(issuer0), want: "is tainted: revoke it"},
		"taint what is revoked":          {before: []step{taint(issuer0), revoke(issuer0)}, order: taint(issuer0), want: "is revoked: there is nothing left to do"},
		"revoke what is active":          {order: forced(revoke(root0)), want: "is active: taint it, which activates its successor"},
		"revoke a tainted one":           {before: []step{taint(issuer0)}, order: revoke(issuer0), want: "r active, i revoked, i active"},
		"revoke a tainted root":          {before: []step{taint(root0)}, order: revoke(root0), want: "r revoked, i revoked, r active, i active"},
		"revoke a tainted prepared root": {before: []step{prepare, taint(root1)}, order: revoke(root1), want: "r active, i active, r revoked"},
		"revoke what is retiring":        {before: []step{rotate(ca.RoleIntermediate)}, order: revoke(issuer0), want: "is retiring: taint it first", force: true},
		"revoke what is retiring, forced": {
			before: []step{rotate(ca.RoleIntermediate)}, order: forced(revoke(issuer0)), want: "r active, i revoked, i active",
		},
		"revoke twice":                {before: []step{taint(issuer0), revoke(issuer0)}, order: revoke(issuer0), want: "nothing left to do"},
		"revoke without a reason":     {before: []step{taint(issuer0)}, order: step{rotation.Order{Action: rotation.ActRevoke}, issuer0}, want: "revoke needs a reason"},
		"re-issue where nobody lives": {order: step{rotation.Order{Action: rotation.ActReissue, Reason: why}, -1}, want: "nobody holds a certificate"},
		"re-issue of a root":          {order: step{rotation.Order{Action: rotation.ActReissue, Reason: why, Issuers: []string{"root"}}, -1}, want: "not found"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHands(t)
			for _, s := range tt.before {
				h.must(t, s.order, s.place)
			}
			number := h.store.gen.Number
			dry, dryErr := h.order(tt.order.order, tt.order.place, true)
			if h.store.gen.Number != number {
				t.Error("a dry run changes something")
			}
			done, err := h.order(tt.order.order, tt.order.place, false)
			if err == nil {
				h.compareWithDry(tt.order.order, dry, done)
				if diff := cmp.Diff(tt.want, h.states()); diff != "" || h.wrong != nil {
					t.Errorf("states (-want +got):\n%s\n%v", diff, h.wrong)
				}
				return
			}
			var refusal *rotation.Refusal
			forcible := errors.As(err, &refusal) && refusal.Force
			if !strings.Contains(err.Error(), tt.want) || forcible != tt.force {
				t.Errorf("refused with %q, force %t; want %q, force %t", err, forcible, tt.want, tt.force)
			}
			if dryErr == nil && dry.Objection != err.Error() {
				t.Errorf("the dry run objects %q, want %q", dry.Objection, err)
			}
		})
	}
}

// TestRevokeWaitsForWhoDepends: the count is exact, counts what a later root would cut off, and
// tells the operator before.
func TestRevokeWaitsForWhoDepends(t *testing.T) {
	h := newHands(t)
	serials := h.certificates(t, 3)
	h.now = h.now.Add(time.Second)
	done := h.must(t, rotation.Order{Action: rotation.ActTaint, Reason: "key was copied"}, root0)
	if i := done.Incident; i == nil || i.Total != 3 || !i.StartsAt.Equal(h.now) || !i.Deadline.After(h.now) {
		t.Fatalf("incident %+v", i)
	}
	_, gates, err := h.Gates(context.Background(), h.now)
	if err != nil || gates[root0].Phase != rotation.PhaseReplacing || !strings.HasPrefix(gates[root0].Waiting, "waiting: 0 of 3 certificates are replaced;") {
		t.Errorf("gate %+v, %v", gates[root0], err)
	}
	revoke := rotation.Order{Action: rotation.ActRevoke, Reason: "all is replaced"}
	for left := 3; left > 0; left-- {
		dry, err := h.order(revoke, root0, true)
		if err != nil || dry.CutOff != left {
			t.Fatalf("dry run: %+v, %v, want %d to be cut off", dry, err, left)
		}
		var refusal *rotation.Refusal
		if _, err := h.order(revoke, root0, false); !errors.As(err, &refusal) || !refusal.Force {
			t.Fatalf("revoked with %d left: %v", left, err)
		}
		h.now = h.now.Add(time.Second)
		issuer := h.store.gen.Authorities[issuer1].ID
		if _, err := h.store.insert(modelRecord{issuer, h.now, h.now.Add(time.Hour), serials[left-1], h.now}); err != nil {
			t.Fatal(err)
		}
		// What nobody may rely on yet: the tick closes the incident when it is over, not before.
		h.now = h.now.Add(time.Minute)
		if err := h.Tick(context.Background(), h.now); err != nil {
			t.Fatal(err)
		}
		if open := len(h.store.gen.Incidents) == 1; open != (left > 1) {
			t.Errorf("with %d left the incident is open: %t", left-1, open)
		}
	}
	p, err := h.Incident(context.Background(), done.Incident.ID, h.now)
	if err != nil || p.ClosedAt.IsZero() || p.Replaced != 3 || p.Left != 0 {
		t.Errorf("progress %+v, %v", p, err)
	}
	before := h.store.gen.Sequence
	h.must(t, revoke, root0)
	if h.store.gen.Sequence != before+1 || h.states() != "r revoked, i revoked, r active, i active" {
		t.Errorf("sequence %d after %d, %s", h.store.gen.Sequence, before, h.states())
	}
	for _, a := range h.store.gen.Authorities[:2] {
		if a.Key != nil {
			t.Errorf("the key of %s %s is kept", a.State, a.Role)
		}
	}
}

// TestALaterRootBearsTheOneBefore: while holders of R0 alone are left, R1 through which chains lead
// to them is neither revoked nor retired.
func TestALaterRootBearsTheOneBefore(t *testing.T) {
	h := newHands(t)
	h.certificates(t, 1)
	h.must(t, rotation.Order{Action: rotation.ActPrepare}, -1)
	h.must(t, rotation.Order{Action: rotation.ActActivate, Force: true}, root1)
	taint := h.must(t, rotation.Order{Action: rotation.ActTaint, Reason: "key was copied"}, root1)
	if h.states() != "r retiring, i retiring, r tainted, i tainted, r active, i active" {
		t.Fatal(h.states())
	}
	if taint.Incident == nil || taint.Incident.Total != 1 {
		t.Errorf("incident %+v, want one for who holds the first root alone", taint.Incident)
	}
	dry, err := h.order(rotation.Order{Action: rotation.ActRevoke, Reason: "r"}, root1, true)
	if err != nil || dry.CutOff != 1 {
		t.Errorf("revoking the second root: %+v, %v", dry, err)
	}
	if chain := h.views[h.store.gen.Number].Issuer().Chain(); len(chain) != 3 {
		t.Errorf("the chain has %d certificates above the leaf", len(chain))
	}
}

// TestAForcedRevocationClosesItsIncident: what was to be replaced is refused from now on.
func TestAForcedRevocationClosesItsIncident(t *testing.T) {
	h := newHands(t)
	h.certificates(t, 5)
	h.must(t, rotation.Order{Action: rotation.ActTaint, Reason: "r"}, issuer0)
	done := h.must(t, rotation.Order{Action: rotation.ActRevoke, Reason: "r", Force: true}, issuer0)
	if done.CutOff != 5 || len(h.store.gen.Incidents) != 0 || len(h.store.incidents) != 1 {
		t.Errorf("%d cut off, incidents %+v", done.CutOff, h.store.incidents)
	}
}

// TestOrderLeavesAudits: who, what, why, in the write itself.
func TestOrderLeavesAudits(t *testing.T) {
	h := newHands(t)
	h.certificates(t, 2)
	var got []store.Audit
	h.store.replaced = func(_, _ *store.Generation, rows []store.Audit) { got = rows }
	done := h.must(t, rotation.Order{Action: rotation.ActTaint, Reason: "key was copied"}, issuer0)
	row := func(action, target, role, from string) store.Audit {
		detail := map[string]string{"step": "taint", "reason": "key was copied", "generation": "2", "role": role}
		if from != "" {
			detail["from"] = from
		}
		return store.Audit{At: h.now, Actor: handActor, Action: action, Target: target, Detail: detail}
	}
	want := []store.Audit{
		row("authority.taint", done.Changes[0].Authority, "intermediate", "active"),
		row("authority.activate", done.Changes[1].Authority, "intermediate", ""),
		{At: h.now, Actor: handActor, Action: "incident.declare", Target: done.Incident.ID},
	}
	if diff := cmp.Diff(want[:2], got[:2]); diff != "" {
		t.Errorf("audits (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[2], got[2], cmpopts.IgnoreFields(store.Audit{}, "Detail")); diff != "" || got[2].Detail["certificates"] != "2" {
		t.Errorf("audit of the incident %+v", got[2])
	}
}

// TestAnOrderIsTriedAgain when another replica was faster, and a few times only.
func TestAnOrderIsTriedAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		lost int
		want error
	}{
		"twice":  {2, nil},
		"always": {1000, store.ErrConflict},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHands(t)
			r, err := rotation.NewRotator(rotation.RotatorConfig{
				Store: &losing{h.store, tt.lost}, Keys: h.keys, Policy: modelPolicy, Holder: "test",
			})
			if err != nil {
				t.Fatal(err)
			}
			_, err = r.Carry(context.Background(), rotation.Order{Action: rotation.ActPrepare, Actor: handActor}, false, h.now)
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}

// losing is a store on which somebody else is faster for a while.
type losing struct {
	*modelStore
	left int
}

func (l *losing) ReplaceGeneration(ctx context.Context, from uint64, next store.Generation, fence store.Fence, audits ...store.Audit) error {
	if l.left--; l.left >= 0 {
		return store.ErrConflict
	}
	return l.modelStore.ReplaceGeneration(ctx, from, next, fence, audits...)
}

// TestOrdersUnderAnOfflineRoot: what only its keeper can sign is not ordered here, and the refusal
// says what to do instead.
func TestOrdersUnderAnOfflineRoot(t *testing.T) {
	const why = "key was copied"
	for name, tt := range map[string]struct {
		order rotation.Order
		place int
		want  string
	}{
		"prepare its successor":    {rotation.Order{Action: rotation.ActPrepare}, -1, "is kept offline: its successor is imported"},
		"rotate the intermediate":  {rotation.Order{Action: rotation.ActRotate, Role: ca.RoleIntermediate}, -1, "import a successor that it has signed"},
		"taint the intermediate":   {rotation.Order{Action: rotation.ActTaint, Reason: why}, issuer0, "import a successor that it has signed"},
		"taint it":                 {rotation.Order{Action: rotation.ActTaint, Reason: why}, root0, "import its successor with an intermediate first"},
		"activate an intermediate": {rotation.Order{Action: rotation.ActActivate}, issuer0, "only a prepared root can be activated"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHands(t)
			h.store.gen.Authorities[root0].Key = nil
			if _, err := h.order(tt.order, tt.place, false); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// TestOrdersForAnImportedRoot has a root that came with its intermediate from elsewhere, and that
// the active one, which is offline, has not certified.
func TestOrdersForAnImportedRoot(t *testing.T) {
	h := newHands(t)
	h.store.gen.Authorities[root0].Key = nil
	root, issuer := h.imported(t)
	h.store.gen.Authorities = append(h.store.gen.Authorities, root, issuer)
	h.store.replaced = func(_, _ *store.Generation, _ []store.Audit) { h.adoptable() }
	taint := rotation.Order{Action: rotation.ActTaint, Reason: "key was copied"}
	if _, err := h.order(taint, root0, false); err == nil || !strings.Contains(err.Error(), "is not certified by it, and not known everywhere") {
		t.Errorf("the active root is tainted: %v", err)
	}
	activate := rotation.Order{Action: rotation.ActActivate}
	dry, err := h.order(activate, root1, true)
	if err != nil || !strings.Contains(dry.Objection, "nothing leads those to it who do not know it yet") {
		t.Errorf("dry run %+v, %v", dry, err)
	}
	h.now = h.now.Add(modelPolicy.LongestLeaf + modelPolicy.Skew) // everybody knows it
	h.must(t, taint, root0)
	if got := h.states(); got != "r tainted, i tainted, r active, i active" {
		t.Error(got)
	}
}

// imported is a prepared root whose key is kept elsewhere, and its prepared intermediate.
func (h *hands) imported(t *testing.T) (root, issuer store.Authority) {
	t.Helper()
	signer, ref, _ := h.keys.Create(ca.ECDSAP256, ca.KeyLabel(h.td, ca.RoleIntermediate))
	elsewhere := newP256("")
	rootCert, err := ca.NewRoot(ca.RootConfig{TrustDomain: h.td, Signer: elsewhere, NotBefore: h.now, NotAfter: h.now.Add(modelPolicy.RootLifetime)})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.NewIntermediate(ca.IntermediateConfig{
		TrustDomain: h.td, PublicKey: signer.Public(), Parent: rootCert, ParentSigner: elsewhere, NotBefore: h.now, NotAfter: h.now.Add(modelPolicy.IntermediateLifetime),
	})
	if err != nil {
		t.Fatal(err)
	}
	root = store.Authority{ID: ca.AuthorityID(rootCert), Role: "root", State: "prepared", Certificate: rootCert.Raw, StateSince: h.now, Sequence: 1}
	issuer = store.Authority{
		ID: ca.AuthorityID(cert), Role: "intermediate", State: "prepared", ParentID: root.ID, Certificate: cert.Raw, Key: ref, StateSince: h.now,
	}
	return root, issuer
}
