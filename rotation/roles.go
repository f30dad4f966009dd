package rotation

import (
	"fmt"
	"slices"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

// revokeWithin is how long a tainted authority that no open incident is about may wait for the
// person who revokes it: verifiers trust it until then.
const revokeWithin = 24 * time.Hour

// RoleStatus is how far the rotation of a role has come. It says nothing of the time at which it
// was asked for: who compares it with a clock knows what is late.
type RoleStatus struct {
	Role ca.Role
	// Due is when the successor of the active authority is made; of a root that has a prepared
	// successor, when that is activated at the latest.
	Due     time.Time
	Phase   string    // one of [RolePhases]: of several under way, that which is to be over first
	Entered time.Time // when the phase began
	// Deadline is how long after Entered the phase is over, if all goes well; 0 means that it has no
	// end, or that it is not known for lack of facts.
	Deadline time.Duration
}

// RolePhases lists the phases of a role.
func RolePhases() []string {
	return []string{PhaseSigning, PhaseSpreading, PhaseDraining, PhaseReplacing}
}

// Roles says how far the rotation of each role has come. It is pure, and equal on all replicas that
// have the same generation, policy and facts; facts may be nil.
func Roles(gen *store.Generation, p Policy, facts *store.Facts) ([]RoleStatus, error) {
	v, err := look(gen)
	if err != nil {
		return nil, fmt.Errorf("roles: generation %d: %w", gen.Number, err)
	}
	root := v.role(v.root, p, facts)
	root.Due, _ = v.preparationDue(p)
	if v.next != nil {
		root.Due = v.spreadEnd(p)
	}
	intermediate := v.role(v.issuer, p, facts)
	intermediate.Due, _ = v.rotationDue(p)
	return []RoleStatus{root, intermediate}, nil
}

// role looks for the phase of the role that an active authority has.
func (v *view) role(active *authority, p Policy, facts *store.Facts) RoleStatus {
	status := RoleStatus{Role: ca.Role(active.Role), Phase: PhaseSigning, Entered: active.StateSince}
	var first time.Time // when the phase is to be over; zero: not known
	for _, a := range v.all {
		if a.Role != active.Role {
			continue
		}
		phase, end := v.underWay(a, p, facts)
		known := status.Phase != PhaseSigning
		if phase == "" || known && (end.IsZero() || !first.IsZero() && !end.Before(first)) {
			continue
		}
		first = end
		status.Phase, status.Entered, status.Deadline = phase, a.StateSince, 0
		if !end.IsZero() {
			status.Deadline = max(end.Sub(a.StateSince), time.Second)
		}
	}
	return status
}

// underWay is the phase of an authority that has an end, and when it is over if all goes well;
// zero: not known.
func (v *view) underWay(a *authority, p Policy, facts *store.Facts) (phase string, end time.Time) {
	switch {
	case a.has(ca.StatePrepared) && v.next != nil:
		return PhaseSpreading, v.spreadEnd(p)
	case a.has(ca.StateRetiring):
		return PhaseDraining, v.drainEnd(a, p, facts)
	case a.has(ca.StateTainted):
		return PhaseReplacing, v.replaceEnd(a)
	}
	return "", time.Time{}
}

// spreadEnd is when the prepared root is activated at the latest.
func (v *view) spreadEnd(p Policy) time.Time { return v.spreadGate(p, &Counts{}).late }

// drainEnd is when nothing is left under a retiring authority, for the slowest clock. Longer lives
// than the policy allows now are among the facts.
func (v *view) drainEnd(a *authority, p Policy, facts *store.Facts) time.Time {
	if facts == nil {
		return time.Time{}
	}
	end := a.StateSince.Add(p.drain())
	if !facts.RestoredAt.IsZero() { // as in drainGate
		end = later(end, facts.RestoredAt.Add(p.LongestLeaf))
	}
	for _, issuer := range v.leansOn(a) {
		end = later(end, facts.Issuers[issuer].NotAfter)
	}
	return end.Add(p.Skew)
}

// replaceEnd is when a tainted authority is to be revoked.
func (v *view) replaceEnd(a *authority) time.Time {
	issuers, end := v.leansOn(a), a.StateSince.Add(revokeWithin)
	for _, i := range v.gen.Incidents {
		if slices.ContainsFunc(i.Issuers, func(issuer string) bool { return slices.Contains(issuers, issuer) }) {
			end = later(end, i.Deadline)
		}
	}
	return end
}
