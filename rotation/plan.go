package rotation

import (
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

// StepKind is a kind of change to a generation.
type StepKind string

// The steps; see the package comment.
const (
	StepActivateRoot       StepKind = "activate-root"       // the prepared root signs a new issuer; what was active is retiring
	StepRotateIntermediate StepKind = "rotate-intermediate" // the active root signs a new issuer; the old one is retiring
	StepPrepareRoot        StepKind = "prepare-root"        // a new root is published; it signs nothing yet
	StepRetire             StepKind = "retire"              // what nothing is left under loses its key, and a root its place in the bundle
	StepImport             StepKind = "import"              // an intermediate that was signed elsewhere is adopted; never planned, see Importer
	StepDrop               StepKind = "drop"                // a retired authority that has expired is forgotten
)

// Step is one change to a generation.
type Step struct {
	Kind      StepKind
	Authority string // the one that it changes; for a new root, the active root, which it will replace
	Reason    string // why it is due: a sentence for the audit
}

// Plan returns the steps that are due at now, the most urgent first. It is pure. Each step is
// for the generation as it is: when one has been carried out, plan again. facts must count what is
// left as of [Policy.FactsAt] now: on later facts, nothing retires yet.
//
// Plan returns an error for a generation that no steps lead to, such as one with two active roots.
func Plan(gen *store.Generation, p Policy, facts *store.Facts, now time.Time) ([]Step, error) {
	v, err := look(gen)
	if err != nil {
		return nil, fmt.Errorf("plan: generation %d: %w", gen.Number, err)
	}
	var steps []Step
	for _, due := range []func(Policy, *store.Facts, time.Time) []Step{
		v.activateRoot, v.rotateIntermediate, v.prepareRoot, v.retire, v.drop,
	} {
		steps = append(steps, due(p, facts, now)...)
	}
	return steps, nil
}

// FactsAt is the moment for which a plan made at now wants its facts: a certificate has expired
// for everybody once it has for the slowest clock.
func (p Policy) FactsAt(now time.Time) time.Time { return now.Add(-p.Skew) }

func (v *view) activateRoot(p Policy, facts *store.Facts, now time.Time) []Step {
	if v.next == nil || !v.canIssue(v.next) {
		return nil
	}
	reason, open := v.spreadGate(p, facts).passed(now)
	if !open {
		return nil
	}
	return []Step{{StepActivateRoot, v.next.ID, reason}}
}

func (v *view) rotateIntermediate(p Policy, _ *store.Facts, now time.Time) []Step {
	if v.offline() { // it is for people to import one; the gate tells them
		return nil
	}
	due, reason := v.rotationDue(p)
	// A successor that cannot cover a leaf either would only be replaced again.
	if now.Before(due) || v.endOfSuccessor(p, now).Before(now.Add(p.cover())) {
		return nil
	}
	return []Step{{StepRotateIntermediate, v.issuer.ID, reason}}
}

// rotationDue is when the active intermediate is to be replaced, and why then.
func (v *view) rotationDue(p Policy) (time.Time, string) {
	due := v.issuer.StateSince.Add(p.IntermediateEvery)
	if last := v.issuer.cert.NotAfter.Add(-p.cover()); last.Before(due) {
		return last, fmt.Sprintf("it ends at %s and soon cannot cover a leaf of %s", instant(v.issuer.cert.NotAfter), p.LongestLeaf)
	}
	return due, fmt.Sprintf("active since %s, and replaced after %s", instant(v.issuer.StateSince), p.IntermediateEvery)
}

func (v *view) prepareRoot(p Policy, _ *store.Facts, now time.Time) []Step {
	// While the root before it is in use, some verifiers may hold nothing else. A chain
	// leads them from one root to the next one, not to the one after.
	if v.next != nil || v.retiringRoot() || v.offline() {
		return nil
	}
	due, reason := v.preparationDue(p)
	if now.Before(due) {
		return nil
	}
	return []Step{{StepPrepareRoot, v.root.ID, reason}}
}

// preparationDue is when the successor of the active root is to be prepared, and why then.
func (v *view) preparationDue(p Policy) (time.Time, string) {
	due := v.root.StateSince.Add(p.RootEvery)
	if last := v.root.cert.NotAfter.Add(-p.IntermediateLifetime - p.spread()); last.Before(due) {
		return last, fmt.Sprintf("it ends at %s and soon cannot cover an intermediate of %s", instant(v.root.cert.NotAfter), p.IntermediateLifetime)
	}
	return due, fmt.Sprintf("active since %s, and replaced after %s", instant(v.root.StateSince), p.RootEvery)
}

func (v *view) retire(p Policy, facts *store.Facts, now time.Time) []Step {
	var steps []Step
	for _, a := range v.all {
		if a.State == string(ca.StateRetiring) && v.drainGate(a, p, facts).passed(now) {
			steps = append(steps, Step{StepRetire, a.ID, "nothing unexpired is left under it"})
		}
	}
	return steps
}

func (v *view) drop(p Policy, _ *store.Facts, now time.Time) []Step {
	var steps []Step
	for _, a := range v.all {
		parent := v.any(func(child *authority) bool { return child.ParentID == a.ID })
		if a.State == string(ca.StateRetired) && !parent && now.After(a.cert.NotAfter.Add(p.Skew)) {
			steps = append(steps, Step{StepDrop, a.ID, "it expired at " + instant(a.cert.NotAfter)})
		}
	}
	return steps
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }
