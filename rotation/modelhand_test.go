package rotation_test

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/store"
)

// handActor is who intervenes.
const handActor = "spiffe://example.org/pando/admin/ann"

// intervene has somebody order something now and then, through a process that may die. People are
// slower than replicas: each has seen what was done before.
func (w *world) intervene() {
	lagging := slices.ContainsFunc(w.replicas, func(r *modelReplica) bool { return r.sees < w.store.gen.Number })
	if lagging || w.rng.IntN(20) > 0 {
		return
	}
	reached := &unreliable{modelStore: w.store, draw: w.draw}
	reached.pause = func() { w.pause(nil) }
	r, err := rotation.NewRotator(rotation.RotatorConfig{
		Store: &ignoring{reached, w.ignores}, Keys: w.keys, Policy: modelPolicy, Holder: "somebody", LeaseTTL: modelLeaseTTL,
	})
	w.must(err)
	o := w.order()
	now := w.now.Add(w.clockError())
	dry, err := r.Carry(context.Background(), o, true, now)
	if err != nil {
		w.declined(o, err)
		return
	}
	objected := dry.Objection != "" && !o.Force
	w.forced = o.Force
	done, err := r.Carry(context.Background(), o, false, now)
	w.forced = false
	switch {
	case err != nil:
		w.declined(o, err)
	case done.Generation != dry.Generation: // a tick was faster; what it did may have met the objection
	case objected:
		w.violated("%s %s is done although %s", o.Action, o.Authority, dry.Objection)
	default:
		w.compareWithDry(o, dry, done)
	}
}

// ignoring is a store on which nobody may depend on anything.
type ignoring struct {
	*unreliable
	ignores bool
}

func (i *ignoring) Dependents(ctx context.Context, f store.DependentsFilter) (map[string]store.Dependents, error) {
	if i.ignores {
		return nil, nil
	}
	return i.unreliable.Dependents(ctx, f)
}

// order draws what somebody wants.
func (w *world) order() rotation.Order {
	all := w.store.gen.Authorities
	o := rotation.Order{
		Actor: handActor, Reason: "history", Authority: all[w.rng.IntN(len(all))].ID, Force: w.rng.IntN(3) == 0,
		Role: []ca.Role{ca.RoleRoot, ca.RoleIntermediate}[w.rng.IntN(2)],
		Action: []rotation.Action{
			rotation.ActPrepare, rotation.ActRotate, rotation.ActActivate, rotation.ActTaint, rotation.ActTaint,
			rotation.ActRevoke, rotation.ActRevoke, rotation.ActRevoke, rotation.ActReissue,
		}[w.rng.IntN(9)],
	}
	want := ca.State("")
	switch o.Action {
	case rotation.ActActivate:
		want = ca.StatePrepared
	case rotation.ActRevoke:
		want = ca.StateTainted
	}
	for _, a := range all { // mostly something that is possible
		if a.State == string(want) && w.rng.IntN(4) > 0 {
			o.Authority = a.ID
		}
	}
	return o
}

func (w *world) declined(o rotation.Order, err error) {
	var refusal *rotation.Refusal
	switch {
	case errors.As(err, &refusal):
		w.note("%s %s is refused: %s", o.Action, o.Authority, refusal.Message)
		w.seen[string(o.Action)+" is refused"]++
	case errors.Is(err, errInjected), errors.Is(err, store.ErrNotFound): // dropped meanwhile
	default:
		w.violated("%s %s: %v", o.Action, o.Authority, err)
	}
}

// compareWithDry: what was announced is what was done.
func (w *world) compareWithDry(o rotation.Order, dry, done *rotation.Outcome) {
	for i := range done.Changes {
		if i < len(dry.Changes) && dry.Changes[i].Authority == "" {
			done.Changes[i].Authority = "" // it was yet to be made
		}
	}
	if done.Incident != nil && dry.Incident != nil {
		dry.Incident.ID = done.Incident.ID
	}
	if diff := cmp.Diff(dry, done); diff != "" {
		w.violated("%s %s does not do what it announced (-announced +done):\n%s", o.Action, o.Authority, diff)
	}
}

// ordered notes an order that was carried out.
func (w *world) ordered(next *store.Generation, step string) {
	w.byHand++
	w.seen["by hand: "+step]++
	for _, a := range next.Authorities {
		if a.Role == "root" && a.State == "active" && (step == "taint" || step == "activate-root") {
			w.hurried[a.ID] = a.Sequence
		}
	}
}

// withdrawn has those leave the world whom a revocation cuts off. If it was not forced, there are
// none.
func (w *world) withdrawn(before, next *store.Generation) {
	revoked := make(map[string]bool)
	for _, a := range next.Authorities {
		old := find(before, a.ID)
		if a.State == string(ca.StateRevoked) && old != nil && old.State != a.State {
			revoked[a.ID] = true
		}
	}
	if len(revoked) == 0 {
		return
	}
	w.leaves = slices.DeleteFunc(w.leaves, func(l modelLeaf) bool { return revoked[l.issuer] })
	leaning := leaningOn(before, revoked)
	for _, c := range w.clients {
		r := w.store.records[c.serial]
		if r == nil || !r.notAfter.After(w.now) || !leaning[r.issuer] {
			continue
		}
		if !w.forced {
			w.violated("%s is cut off: its certificate of %s is not renewed, and %v are revoked", c.name, r.issuer, revoked)
		}
		w.seen["cut off"]++
		c.serial, c.sequence, c.notAfter, c.renewAt = 0, 0, time.Time{}, w.now
	}
}

func find(gen *store.Generation, id string) *store.Authority {
	at := slices.IndexFunc(gen.Authorities, func(a store.Authority) bool { return a.ID == id })
	if at < 0 {
		return nil
	}
	return &gen.Authorities[at]
}

// leaningOn is the issuers whose holders lose something: those that are revoked, and those under
// roots that chains led to through a revoked one.
func leaningOn(gen *store.Generation, revoked map[string]bool) map[string]bool {
	leaning := make(map[string]bool)
	roots := make(map[string]bool)
	for _, a := range gen.Authorities {
		leaning[a.ID] = revoked[a.ID]
		if a.Role == "root" && a.State == "active" {
			cut := false
			for at := find(gen, a.CrossParentID); at != nil && (at.State == "retiring" || at.State == "tainted"); at = find(gen, at.CrossParentID) {
				cut = cut || revoked[at.ID]
				roots[at.ID] = cut
			}
		}
	}
	for _, a := range gen.Authorities {
		leaning[a.ID] = leaning[a.ID] || roots[a.ParentID]
	}
	return leaning
}
