package rotation

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

// auditActor is who the audit rows of a scheduled step name.
const auditActor = "pando rotation"

// material is what a step adds to a generation.
type material struct {
	authorities []store.Authority // in the states that they start in
	incident    *store.Incident   // nil: none is declared
}

// transition returns the generation after a step, which needs made. gen is not changed. It is the
// one place where the state of an authority or an incident changes. A step for an authority that
// is not there, or not in a state that the step is for, is an error of the caller.
func transition(gen *store.Generation, step Step, made material, now time.Time) (*store.Generation, error) {
	next := *gen
	next.Number++
	next.Authorities = append(slices.Clone(gen.Authorities), made.authorities...)
	next.Incidents = slices.Clone(gen.Incidents)
	if made.incident != nil {
		next.Incidents = append(next.Incidents, *made.incident)
	}
	if step.Kind == StepReissue || step.Kind == StepCloseIncident {
		return &next, closeIncident(next.Incidents, step, now)
	}
	at := slices.IndexFunc(gen.Authorities, func(a store.Authority) bool { return a.ID == step.Authority })
	switch {
	case startsFrom(step.Kind) == nil:
		return nil, fmt.Errorf("step %q is unknown", step.Kind)
	case at < 0:
		return nil, fmt.Errorf("%s: there is no authority %s", step.Kind, step.Authority)
	case !slices.Contains(startsFrom(step.Kind), ca.State(gen.Authorities[at].State)):
		return nil, fmt.Errorf("%s: authority %s is %s", step.Kind, step.Authority, gen.Authorities[at].State)
	}
	all := next.Authorities
	switch step.Kind {
	case StepActivateRoot:
		supersede(all[:len(gen.Authorities)], now)
		enter(&all[at], ca.StateActive, now)
		activateImported(all, all[at].ID, now)
	case StepRotateIntermediate:
		enter(&all[at], ca.StateRetiring, now)
	case StepRetire:
		enter(&all[at], ca.StateRetired, now)
	case StepTaint:
		taint(all, at, now)
	case StepRevoke:
		revoke(all, at, now)
		closeRevoked(&next, now)
	case StepDrop:
		next.Authorities = slices.Delete(all, at, at+1)
	case StepPrepareRoot, StepReissue, StepCloseIncident:
	}
	publish(gen, &next, now)
	return &next, nil
}

// startsFrom are the states of the authority that a kind of step is for.
func startsFrom(kind StepKind) []ca.State {
	switch kind {
	case StepPrepareRoot, StepRotateIntermediate:
		return []ca.State{ca.StateActive}
	case StepActivateRoot:
		return []ca.State{ca.StatePrepared}
	case StepRetire:
		return []ca.State{ca.StateRetiring}
	case StepTaint:
		return []ca.State{ca.StatePrepared, ca.StateActive, ca.StateRetiring}
	case StepRevoke:
		return []ca.State{ca.StatePrepared, ca.StateRetiring, ca.StateRetired, ca.StateTainted}
	case StepDrop:
		return []ca.State{ca.StateRetired, ca.StateTainted, ca.StateRevoked}
	}
	return nil
}

// enter puts an authority into a state. In those that nothing leads back from, its key is destroyed
// by the write, or doomed to be if it is in a token.
func enter(a *store.Authority, state ca.State, now time.Time) {
	a.State, a.StateSince = string(state), now
	if state == ca.StateRetired || state == ca.StateRevoked {
		a.Key = nil
	}
}

// supersede has all that is active retire: a root and the intermediate under it go together.
func supersede(authorities []store.Authority, now time.Time) {
	for i := range authorities {
		if authorities[i].State == string(ca.StateActive) {
			enter(&authorities[i], ca.StateRetiring, now)
		}
	}
}

// activateImported has the intermediate issue that was imported with a root, if one was.
func activateImported(authorities []store.Authority, root string, now time.Time) {
	for i := range authorities {
		if a := &authorities[i]; a.ParentID == root && a.State == string(ca.StatePrepared) {
			enter(a, ca.StateActive, now)
		}
	}
}

// taint takes an authority out of use, and with a root what signs or has signed under it. The place
// of an active root is taken by the one that is prepared, which may have been made for it, or have
// been imported with its intermediate.
func taint(authorities []store.Authority, at int, now time.Time) {
	tainted := authorities[at]
	for i := range authorities {
		a := &authorities[i]
		under := a.ParentID == tainted.ID && slices.Contains(startsFrom(StepTaint), ca.State(a.State))
		switch {
		case i == at || under:
			enter(a, ca.StateTainted, now)
		case tainted.Role == string(ca.RoleRoot) && tainted.State == string(ca.StateActive) && a.State == string(ca.StatePrepared):
			enter(a, ca.StateActive, now)
		}
	}
}

// revoke has nobody trust an authority any more, and with a root nothing that it signed.
func revoke(authorities []store.Authority, at int, now time.Time) {
	id := authorities[at].ID
	for i := range authorities {
		if a := &authorities[i]; i == at || a.ParentID == id && a.State != string(ca.StateRevoked) {
			enter(a, ca.StateRevoked, now)
		}
	}
}

// closeIncident ends the incident that a step is for, if it is for one.
func closeIncident(incidents []store.Incident, step Step, now time.Time) error {
	for i := range incidents {
		if incidents[i].ID == step.Incident {
			incidents[i].ClosedAt = now
			return nil
		}
	}
	if step.Kind == StepCloseIncident {
		return fmt.Errorf("%s: incident %s is not open", step.Kind, step.Incident)
	}
	return nil
}

// closeRevoked ends the incidents whose issuers are all revoked: what they signed is no longer
// replaced but refused.
func closeRevoked(gen *store.Generation, now time.Time) {
	trusted := make(map[string]bool)
	for _, a := range gen.Authorities {
		trusted[a.ID] = a.State != string(ca.StateRevoked)
	}
	for i := range gen.Incidents {
		if !slices.ContainsFunc(gen.Incidents[i].Issuers, func(issuer string) bool { return trusted[issuer] }) {
			gen.Incidents[i].ClosedAt = now
		}
	}
}

// publish gives the bundle of next a new sequence if, and only if, its roots are not those of
// before.
func publish(before, next *store.Generation, now time.Time) {
	old, roots := published(before), published(next)
	if maps.Equal(old, roots) {
		return
	}
	next.Sequence++
	next.PublishedAt = now
	for i := range next.Authorities {
		if a := &next.Authorities[i]; roots[a.ID] && !old[a.ID] {
			a.Sequence = next.Sequence
		}
	}
}

// published is the set of roots in the trust bundle, by ID.
func published(gen *store.Generation) map[string]bool {
	roots := make(map[string]bool)
	for _, a := range gen.Authorities {
		if a.Role == string(ca.RoleRoot) && ca.State(a.State).Published() {
			roots[a.ID] = true
		}
	}
	return roots
}

// Change is what a step does to one authority.
type Change struct {
	Authority string // empty: one that is yet to be made
	Role      ca.Role
	From, To  ca.State // empty: it was not there before, or is gone afterwards
}

// changes are the authorities whose state differs between two generations, in their order.
func changes(before, next *store.Generation) []Change {
	states := make(map[string]string, len(before.Authorities))
	for _, a := range before.Authorities {
		states[a.ID] = a.State
	}
	var all []Change
	for _, a := range next.Authorities {
		if from := states[a.ID]; from != a.State {
			all = append(all, Change{a.ID, ca.Role(a.Role), ca.State(from), ca.State(a.State)})
		}
		delete(states, a.ID)
	}
	for _, a := range before.Authorities {
		if from, gone := states[a.ID]; gone {
			all = append(all, Change{a.ID, ca.Role(a.Role), ca.State(from), ""})
		}
	}
	return all
}

// audits are the rows that a transition leaves: one for each authority whose state it changed, and
// for each incident that it declared or closed.
func audits(before, next *store.Generation, step Step, actor string, now time.Time) []store.Audit {
	var rows []store.Audit
	note := func(action, target string, more map[string]string) {
		detail := map[string]string{"step": string(step.Kind), "reason": step.Reason, "generation": strconv.FormatUint(next.Number, 10)}
		maps.Copy(detail, more)
		rows = append(rows, store.Audit{At: now, Actor: actor, Action: action, Target: target, Detail: detail})
	}
	for _, c := range changes(before, next) {
		more := map[string]string{"role": string(c.Role)}
		if c.From != "" {
			more["from"] = string(c.From)
		}
		note(actionOf(c.To), c.Authority, more)
	}
	for _, i := range next.Incidents {
		known := slices.ContainsFunc(before.Incidents, func(old store.Incident) bool { return old.ID == i.ID })
		switch {
		case !known:
			note("incident.declare", i.ID, map[string]string{
				"certificates": strconv.Itoa(i.Total), "rate": rateText(i.Rate), "deadline": instant(i.Deadline),
			})
		case !i.ClosedAt.IsZero():
			note("incident.close", i.ID, nil)
		}
	}
	return rows
}

// actionOf is what an audit row calls it when an authority enters a state.
func actionOf(state ca.State) string {
	switch state {
	case ca.StatePrepared:
		return "authority.prepare"
	case ca.StateActive:
		return "authority.activate"
	case ca.StateRetiring:
		return "authority.supersede"
	case ca.StateRetired:
		return "authority.retire"
	case ca.StateTainted:
		return "authority.taint"
	case ca.StateRevoked:
		return "authority.revoke"
	}
	return "authority.drop"
}
