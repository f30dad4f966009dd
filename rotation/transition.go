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

// auditActor is who the audit rows of a rotation name.
const auditActor = "pando rotation"

// transition returns the generation after a step. made are the rows of the authorities that the
// step needs and that were made for it, in the states that they start in. gen is not changed.
// A step for an authority that is not there, or not in the state that the step is for, is an
// error of the caller.
func transition(gen *store.Generation, step Step, made []store.Authority, now time.Time) (*store.Generation, error) {
	next := *gen
	next.Number++
	next.Authorities = slices.Clone(gen.Authorities)
	at := slices.IndexFunc(next.Authorities, func(a store.Authority) bool { return a.ID == step.Authority })
	from, known := startsFrom(step.Kind)
	switch {
	case !known:
		return nil, fmt.Errorf("step %q is unknown", step.Kind)
	case at < 0:
		return nil, fmt.Errorf("%s: there is no authority %s", step.Kind, step.Authority)
	case next.Authorities[at].State != string(from):
		return nil, fmt.Errorf("%s: authority %s is %s, not %s", step.Kind, step.Authority, next.Authorities[at].State, from)
	}
	a := &next.Authorities[at]
	switch step.Kind {
	case StepActivateRoot:
		supersede(next.Authorities, now)
		enter(a, ca.StateActive, now)
		activateImported(next.Authorities, a.ID, now)
	case StepRotateIntermediate:
		enter(a, ca.StateRetiring, now)
	case StepRetire:
		enter(a, ca.StateRetired, now)
		a.Key = nil // destroyed by this write, or doomed to be if it is in a token
	case StepDrop:
		next.Authorities = slices.Delete(next.Authorities, at, at+1)
	case StepPrepareRoot:
	}
	next.Authorities = append(next.Authorities, made...)
	publish(gen, &next, now)
	return &next, nil
}

// startsFrom is the state of the authority that a kind of step is for.
func startsFrom(kind StepKind) (ca.State, bool) {
	switch kind {
	case StepPrepareRoot, StepRotateIntermediate:
		return ca.StateActive, true
	case StepActivateRoot:
		return ca.StatePrepared, true
	case StepRetire:
		return ca.StateRetiring, true
	case StepDrop:
		return ca.StateRetired, true
	}
	return "", false
}

func enter(a *store.Authority, state ca.State, now time.Time) {
	a.State, a.StateSince = string(state), now
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

// audits are the rows that a transition leaves: one for each authority whose state it changed.
func audits(before, next *store.Generation, step Step, now time.Time) []store.Audit {
	states := make(map[string]string, len(before.Authorities))
	for _, a := range before.Authorities {
		states[a.ID] = a.State
	}
	var rows []store.Audit
	note := func(action, id, role, from string) {
		detail := map[string]string{"role": role, "step": string(step.Kind), "reason": step.Reason, "generation": strconv.FormatUint(next.Number, 10)}
		if from != "" {
			detail["from"] = from
		}
		rows = append(rows, store.Audit{At: now, Actor: auditActor, Action: action, Target: id, Detail: detail})
	}
	for _, a := range next.Authorities {
		if from := states[a.ID]; from != a.State {
			note(actionOf(ca.State(a.State)), a.ID, a.Role, from)
		}
		delete(states, a.ID)
	}
	for _, a := range before.Authorities {
		if from, gone := states[a.ID]; gone {
			note("authority.drop", a.ID, a.Role, from)
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
	}
	return "authority." + string(state)
}
