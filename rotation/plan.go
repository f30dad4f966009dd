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
	StepDrop               StepKind = "drop"                // what signs nothing any more and has expired is forgotten
	StepCloseIncident      StepKind = "close-incident"      // nobody is left whose certificate was to be replaced

	// These are never due by themselves; see [Order].
	StepTaint   StepKind = "taint"   // what may be compromised stops signing, with a successor if it was active
	StepRevoke  StepKind = "revoke"  // what nobody is to trust any more loses its key, and a root its place in the bundle
	StepReissue StepKind = "reissue" // certificates are to be replaced, authorities stay as they are
)

// Step is one change to a generation.
type Step struct {
	Kind      StepKind
	Authority string // the one that it changes; for a new root, the active root, which it will replace
	Incident  string // of StepCloseIncident: the one that it closes
	Reason    string // why it is due: a sentence for the audit
}

// Counts is what decisions depend on beside the rows.
type Counts struct {
	store.Facts
	// Dependents are the certificates that nobody has renewed yet, by issuer. A scheduled step
	// needs none.
	Dependents map[string]store.Dependents
	// Incidents are the same for each open incident, by its ID.
	Incidents map[string]store.Dependents
}

// Plan returns the steps that are due at now, the most urgent first. It is pure. Each step is
// for the generation as it is: when one has been carried out, plan again. counts must be of what is
// left as of [Policy.FactsAt] now: on later ones, nothing retires yet.
//
// Plan returns an error for a generation that no steps lead to, such as one with two active roots.
func Plan(gen *store.Generation, p Policy, counts *Counts, now time.Time) ([]Step, error) {
	v, err := look(gen)
	if err != nil {
		return nil, fmt.Errorf("plan: generation %d: %w", gen.Number, err)
	}
	var steps []Step
	for _, due := range []func(Policy, *Counts, time.Time) []Step{
		v.activateRoot, v.rotateIntermediate, v.prepareRoot, v.retire, v.drop, v.closeIncidents,
	} {
		steps = append(steps, due(p, counts, now)...)
	}
	return steps, nil
}

// FactsAt is the moment for which a plan made at now wants its facts: a certificate has expired
// for everybody once it has for the slowest clock.
func (p Policy) FactsAt(now time.Time) time.Time { return now.Add(-p.Skew) }

func (v *view) activateRoot(p Policy, counts *Counts, now time.Time) []Step {
	if v.next == nil || !v.canIssue(v.next) {
		return nil
	}
	reason, open := v.spreadGate(p, counts).passed(now)
	if !open {
		return nil
	}
	return []Step{{Kind: StepActivateRoot, Authority: v.next.ID, Reason: reason}}
}

func (v *view) rotateIntermediate(p Policy, _ *Counts, now time.Time) []Step {
	if v.offline() { // it is for people to import one; the gate tells them
		return nil
	}
	due, reason := v.rotationDue(p)
	if now.Before(due) || !v.canSucceed(p, now) {
		return nil
	}
	return []Step{{Kind: StepRotateIntermediate, Authority: v.issuer.ID, Reason: reason}}
}

// rotationDue is when the active intermediate is to be replaced, and why then.
func (v *view) rotationDue(p Policy) (time.Time, string) {
	due := v.issuer.StateSince.Add(p.IntermediateEvery)
	if last := v.issuer.cert.NotAfter.Add(-p.cover()); last.Before(due) {
		return last, fmt.Sprintf("it ends at %s and soon cannot cover a leaf of %s", instant(v.issuer.cert.NotAfter), p.LongestLeaf)
	}
	return due, fmt.Sprintf("active since %s, and replaced after %s", instant(v.issuer.StateSince), p.IntermediateEvery)
}

func (v *view) prepareRoot(p Policy, counts *Counts, now time.Time) []Step {
	// While a root before it is in use, some verifiers may hold nothing else, and each more
	// that is in use makes every chain longer by a certificate.
	if v.next != nil || v.earlierInUse(counts) || v.offline() {
		return nil
	}
	due, reason := v.preparationDue(p)
	if now.Before(due) {
		return nil
	}
	return []Step{{Kind: StepPrepareRoot, Authority: v.root.ID, Reason: reason}}
}

// preparationDue is when the successor of the active root is to be prepared, and why then.
func (v *view) preparationDue(p Policy) (time.Time, string) {
	due := v.root.StateSince.Add(p.RootEvery)
	if last := v.root.cert.NotAfter.Add(-p.IntermediateLifetime - p.spread()); last.Before(due) {
		return last, fmt.Sprintf("it ends at %s and soon cannot cover an intermediate of %s", instant(v.root.cert.NotAfter), p.IntermediateLifetime)
	}
	return due, fmt.Sprintf("active since %s, and replaced after %s", instant(v.root.StateSince), p.RootEvery)
}

func (v *view) retire(p Policy, counts *Counts, now time.Time) []Step {
	var steps []Step
	for _, a := range v.all {
		if a.State == string(ca.StateRetiring) && v.drainGate(a, p, counts).passed(now) {
			steps = append(steps, Step{Kind: StepRetire, Authority: a.ID, Reason: "nothing unexpired is left under it"})
		}
	}
	return steps
}

func (v *view) drop(p Policy, _ *Counts, now time.Time) []Step {
	var steps []Step
	for _, a := range v.all {
		parent := v.any(func(child *authority) bool { return child.ParentID == a.ID })
		if a.has(startsFrom(StepDrop)...) && !parent && now.After(a.cert.NotAfter.Add(p.Skew)) {
			steps = append(steps, Step{Kind: StepDrop, Authority: a.ID, Reason: "it expired at " + instant(a.cert.NotAfter)})
		}
	}
	return steps
}

func (v *view) closeIncidents(_ Policy, counts *Counts, _ time.Time) []Step {
	var steps []Step
	for _, i := range v.gen.Incidents {
		if left, counted := counts.Incidents[i.ID]; counted && left.Certificates == 0 {
			steps = append(steps, Step{Kind: StepCloseIncident, Incident: i.ID, Reason: "nobody is left whose certificate was to be replaced"})
		}
	}
	return steps
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }
