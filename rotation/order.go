package rotation

import (
	"fmt"
	"slices"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

// Action is what somebody orders.
type Action string

// The actions.
const (
	ActPrepare  Action = "prepare"  // publish the next root now
	ActRotate   Action = "rotate"   // replace the intermediate now; of a root: prepare its successor
	ActActivate Action = "activate" // use a prepared root now
	ActTaint    Action = "taint"    // take an authority out of use, and have what depends on it replaced
	ActRevoke   Action = "revoke"   // have nobody trust an authority any more
	ActReissue  Action = "reissue"  // have certificates replaced; authorities stay as they are
)

// Order is a step that somebody wants now.
type Order struct {
	Action    Action
	Authority string   // of ActActivate, ActTaint and ActRevoke
	Role      ca.Role  // of ActRotate
	Issuers   []string // of ActReissue: IDs of intermediates; none: the active one
	Actor     string   // required: who wants it, for the audit
	Reason    string   // required, but for ActPrepare, ActRotate and ActActivate
	Force     bool     // do what a gate stands against

	// Of the incident that ActTaint and ActReissue declare. Zero values are chosen.
	Rate     float64 // certificates per second
	Deadline time.Time
}

// Outcome is what an order does, or would do.
type Outcome struct {
	Generation uint64          // the number of the one that it makes
	Changes    []Change        // in the order of the generation
	Incident   *store.Incident // that it declares; nil: none
	CutOff     int             // live certificates that nobody has renewed and nobody accepts afterwards
	Followers  int             // of ActActivate: live certificates whose holders acknowledge bundles
	Behind     int             // of these, those that have not acknowledged one with the root
	Objection  string          // why it is done with force only; empty: nothing stands against it
}

// decision is what an order comes to.
type decision struct {
	step      Step
	outcome   Outcome
	dependent []string // issuers whose certificates an incident is declared for
}

// decide judges an order. It is pure. What nothing can be done about is a *Refusal.
func (v *view) decide(o Order, p Policy, counts *Counts, now time.Time) (decision, error) {
	d := decision{step: Step{Authority: o.Authority, Reason: o.Reason}}
	if d.step.Reason == "" {
		d.step.Reason = "by hand"
	}
	var err error
	switch {
	case o.Action == ActPrepare, o.Action == ActRotate && o.Role == ca.RoleRoot:
		err = v.decidePrepare(&d)
	case o.Action == ActRotate && o.Role == ca.RoleIntermediate:
		d.step.Kind, d.step.Authority = StepRotateIntermediate, v.issuer.ID
		err = v.refuseSuccessor(p, now)
	case o.Action == ActReissue:
		err = v.decideReissue(&d, o)
	case o.Action == ActActivate, o.Action == ActTaint, o.Action == ActRevoke:
		err = v.decideAuthority(&d, o, p, counts, now)
	default:
		err = refuse("there is no action %q of role %q", o.Action, o.Role)
	}
	if err == nil && o.Reason == "" && (o.Action == ActTaint || o.Action == ActRevoke || o.Action == ActReissue) {
		err = refuse("%s needs a reason", o.Action)
	}
	if err != nil {
		return d, err
	}
	if len(d.dependent) > 0 {
		d.outcome.Incident, err = p.declare(o, d.dependent, sum(counts.Dependents, d.dependent), now)
	}
	if err == nil && o.Action == ActReissue && d.outcome.Incident == nil {
		err = refuse("nobody holds a certificate that would be replaced")
	}
	return d, err
}

func (v *view) decidePrepare(d *decision) error {
	d.step.Kind, d.step.Authority = StepPrepareRoot, v.root.ID
	if v.offline() {
		return refuse("root %s is kept offline: its successor is imported with an intermediate, by pando authority csr and import", v.root.ID)
	}
	if v.next != nil {
		return refuse("root %s is prepared already: activate it, or wait until it activates by itself", v.next.ID)
	}
	return v.refuseAnotherRoot()
}

// refuseAnotherRoot is for a root that is to be made.
func (v *view) refuseAnotherRoot() error {
	if path := v.path(v.root); len(path) >= ca.MaxCross {
		return refuse("%d roots before the active one are in use, which chains have to lead to: wait until one has retired, or revoke %s",
			len(path), path[len(path)-1].ID)
	}
	return nil
}

// refuseSuccessor is for an intermediate that the active root is to sign.
func (v *view) refuseSuccessor(p Policy, now time.Time) error {
	if v.offline() {
		return refuse("root %s is kept offline: import a successor that it has signed, by pando authority csr and import, which takes over", v.root.ID)
	}
	if !v.canSucceed(p, now) {
		return refuse("root %s ends at %s and cannot cover another intermediate: prepare and activate a new root first", v.root.ID, instant(v.root.cert.NotAfter))
	}
	return nil
}

func (v *view) decideReissue(d *decision, o Order) error {
	d.step.Kind, d.step.Authority = StepReissue, ""
	d.dependent = slices.Compact(slices.Sorted(slices.Values(o.Issuers)))
	if len(o.Issuers) == 0 {
		d.dependent = []string{v.issuer.ID}
	}
	for _, id := range d.dependent {
		switch a := v.byID(id); {
		case a == nil:
			return fmt.Errorf("authority %s: %w", id, store.ErrNotFound)
		case a.Role != string(ca.RoleIntermediate):
			return refuse("authority %s is a root: name the intermediates whose certificates are to be replaced", id)
		case a.has(ca.StateRetired, ca.StateRevoked):
			return refuse("intermediate %s is %s: nobody holds a certificate of it", id, a.State)
		}
	}
	return nil
}

// decideAuthority judges an order for the authority that it names.
func (v *view) decideAuthority(d *decision, o Order, p Policy, counts *Counts, now time.Time) error {
	a := v.byID(o.Authority)
	if a == nil {
		return fmt.Errorf("authority %s: %w", o.Authority, store.ErrNotFound)
	}
	if o.Action == ActActivate && a.Role != string(ca.RoleRoot) {
		return refuse("intermediate %s is activated with its root: only a prepared root can be activated", a.ID)
	}
	if advice := advise(o.Action, ca.State(a.State)); advice != "" {
		return refuse("%s %s is %s: %s", a.Role, a.ID, a.State, advice)
	}
	switch o.Action {
	case ActActivate:
		d.step.Kind = StepActivateRoot
		if !v.canIssue(a) {
			return refuse("root %s has no intermediate, and its key is kept offline", a.ID)
		}
		v.weighActivation(d, p, counts, now)
	case ActTaint:
		d.step.Kind = StepTaint
		d.dependent = v.leansOn(a)
		if a == v.issuer {
			return v.refuseSuccessor(p, now)
		}
		if a == v.root {
			return v.refuseEmergency(p, counts, now)
		}
	case ActRevoke:
		d.step.Kind = StepRevoke
		v.weighRevocation(d, a, counts)
	}
	return nil
}

// refuseEmergency is for the active root that is to be replaced at once: its successor must be at hand,
// and either be certified by it or be known already.
func (v *view) refuseEmergency(p Policy, counts *Counts, now time.Time) error {
	if v.next == nil {
		if v.offline() {
			return refuse("root %s is kept offline: import its successor with an intermediate first, by pando authority csr and import", v.root.ID)
		}
		return v.refuseAnotherRoot()
	}
	if !v.canIssue(v.next) {
		return refuse("its successor %s has no intermediate, and its key is kept offline", v.next.ID)
	}
	gate := v.spreadGate(p, counts)
	if _, open := gate.passed(now); !open && v.next.CrossParentID == "" {
		return refuse("its successor %s is not certified by it, and not known everywhere: activate it, which takes force, and taint this one then; %s",
			v.next.ID, gate.describe(now).Waiting)
	}
	return v.refuseAnotherRoot()
}

// advise says why an action is not for an authority in a state, and what to do instead; empty when it
// is.
func advise(action Action, state ca.State) string {
	switch {
	case action == ActActivate && state != ca.StatePrepared:
		return "only a prepared root can be activated"
	case action == ActTaint && state == ca.StateRetired, action == ActTaint && state == ca.StateTainted:
		return "revoke it"
	case action != ActActivate && state == ca.StateRevoked:
		return "there is nothing left to do"
	case action == ActRevoke && state == ca.StateActive:
		return "taint it, which activates its successor, and revoke it then"
	}
	return ""
}

func (v *view) weighActivation(d *decision, p Policy, counts *Counts, now time.Time) {
	gate := v.spreadGate(p, counts)
	d.outcome.Followers, d.outcome.Behind = gate.followers, gate.behind
	if _, open := gate.passed(now); open {
		return
	}
	d.outcome.Objection = "its gate is not open: " + gate.describe(now).Waiting
	if v.next.CrossParentID == "" {
		d.outcome.Objection += "; nothing leads those to it who do not know it yet, and they refuse what it signs"
	}
}

func (v *view) weighRevocation(d *decision, a *authority, counts *Counts) {
	d.outcome.CutOff = sum(counts.Dependents, v.leansOn(a)).Certificates
	switch {
	case d.outcome.CutOff > 0:
		d.outcome.Objection = fmt.Sprintf("%d live certificates depend on %s %s: their holders would be cut off", d.outcome.CutOff, a.Role, a.ID)
	case !a.has(ca.StateTainted, ca.StateRetired):
		d.outcome.Objection = fmt.Sprintf("%s %s is %s: taint it first, so that what depends on it is replaced", a.Role, a.ID, a.State)
	}
}
