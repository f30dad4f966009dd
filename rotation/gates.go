package rotation

import (
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

// Phases of an authority, as an operator sees them.
const (
	PhaseSpreading = "spreading" // a prepared root: its certificate reaches those who verify
	PhaseSigning   = "signing"   // active
	PhaseDraining  = "draining"  // retiring: what it signed expires
	PhaseGone      = "gone"      // retired: the row is kept until the certificate has expired
	PhaseManual    = "manual"    // tainted or revoked: nothing happens by itself
)

// Gate is what an authority waits for, as of a moment.
type Gate struct {
	Authority string
	Phase     string    // one of the phases above
	Waiting   string    // a sentence for people; empty in PhaseManual
	OpensAt   time.Time // when it opens by itself; zero: that depends on others, or on nothing

	Followers int // of a prepared root: certificates whose holders acknowledge bundles
	Behind    int // of these, those that have not acknowledged one with this root
	Live      int // of a retiring authority: unexpired certificates under it
}

// Gates says what each authority of a generation waits for at now, in their order. It is pure;
// facts are as for [Plan].
func Gates(gen *store.Generation, p Policy, facts *store.Facts, now time.Time) ([]Gate, error) {
	v, err := look(gen)
	if err != nil {
		return nil, fmt.Errorf("gates: generation %d: %w", gen.Number, err)
	}
	gates := make([]Gate, len(v.all))
	for i, a := range v.all {
		gates[i] = v.gate(a, p, facts, now)
		gates[i].Authority = a.ID
	}
	return gates, nil
}

func (v *view) gate(a *authority, p Policy, facts *store.Facts, now time.Time) Gate {
	switch {
	case a == v.next:
		return v.spreadGate(p, facts).describe(now)
	case a == v.root:
		return v.describeRoot(p)
	case a == v.issuer:
		return v.describeIssuer(p)
	case a.is(ca.RoleIntermediate, ca.StatePrepared):
		return Gate{Phase: PhaseSpreading, Waiting: "waiting: it issues once its root " + a.ParentID + " is activated"}
	case a.State == string(ca.StateRetiring):
		return v.drainGate(a, p, facts).describe(now)
	case a.State == string(ca.StateRetired):
		opens := a.cert.NotAfter.Add(p.Skew)
		return Gate{Phase: PhaseGone, OpensAt: opens, Waiting: "it is forgotten at " + instant(opens)}
	}
	return Gate{Phase: PhaseManual}
}

func (v *view) describeIssuer(p Policy) Gate {
	due, reason := v.rotationDue(p)
	g := Gate{Phase: PhaseSigning, OpensAt: due, Waiting: "its successor is made at " + instant(due) + ": " + reason}
	if v.offline() {
		last := instant(v.issuer.cert.NotAfter.Add(-p.cover())) // then it refuses the longest leaf
		g.Waiting = fmt.Sprintf("its successor must be signed by the offline root: pando authority csr, then import; due at %s, at the latest at %s: %s",
			instant(due), last, reason)
	}
	return g
}

func (v *view) describeRoot(p Policy) Gate {
	due, reason := v.preparationDue(p)
	g := Gate{Phase: PhaseSigning, OpensAt: due}
	switch {
	case v.next != nil:
		g.OpensAt, g.Waiting = time.Time{}, fmt.Sprintf("its successor %s is prepared", v.next.ID)
	case v.retiringRoot():
		g.Waiting = fmt.Sprintf("its successor is prepared at %s, once the root before it has retired: %s", instant(due), reason)
	case v.offline():
		g.Waiting = fmt.Sprintf("it is kept offline, and its successor must be imported with an intermediate; due at %s: %s", instant(due), reason)
	default:
		g.Waiting = fmt.Sprintf("its successor is prepared at %s: %s", instant(due), reason)
	}
	return g
}

// spreadGate stands between publication and use of a root: nobody may meet what it signed
// who could have known it and does not.
type spreadGate struct {
	sequence          uint64
	early, late       time.Time // opens in between when nobody is behind; opens at late for everybody
	followers, behind int
}

func (v *view) spreadGate(p Policy, facts *store.Facts) spreadGate {
	g := spreadGate{
		sequence: v.next.Sequence,
		early:    v.next.StateSince.Add(p.early()),
		// Once the active root has ended there is nothing left that waiting would protect.
		late:   earlier(v.next.StateSince.Add(p.spread()), v.root.cert.NotAfter.Add(p.Skew)),
		behind: facts.Behind(v.next.Sequence),
	}
	if v.next.CrossParentID == "" { // nothing carries those who do not follow
		g.early = g.late
	}
	for _, count := range facts.Followers {
		g.followers += count
	}
	return g
}

func (g spreadGate) passed(now time.Time) (reason string, open bool) {
	switch {
	case !now.Before(g.late):
		return "every leaf from before its publication has expired", true
	case g.followers > 0 && g.behind == 0 && !now.Before(g.early):
		return fmt.Sprintf("all %d followers have acknowledged sequence %d", g.followers, g.sequence), true
	}
	return "", false
}

func (g spreadGate) describe(now time.Time) Gate {
	gate := Gate{Phase: PhaseSpreading, OpensAt: g.late, Followers: g.followers, Behind: g.behind}
	acknowledged := fmt.Sprintf("%d of %d followers have acknowledged sequence %d", g.followers-g.behind, g.followers, g.sequence)
	reason, open := g.passed(now)
	switch {
	case open:
		gate.Waiting = "open: " + reason
	case g.followers == 0:
		gate.Waiting = "waiting: nobody follows; opens by time at " + instant(g.late)
	case g.behind > 0 || !g.early.Before(g.late):
		gate.Waiting = fmt.Sprintf("waiting: %s; opens by time at %s", acknowledged, instant(g.late))
	default:
		gate.OpensAt = g.early
		gate.Waiting = fmt.Sprintf("waiting: %s; opens at %s", acknowledged, instant(g.early))
	}
	return gate
}

// drainGate stands between use and retirement: nobody may still present what it signed.
type drainGate struct {
	quiet time.Time // when it had stopped signing for every clock, and the facts are for all of them
	live  int
	last  time.Time // end of the last certificate under it, for every clock; zero: none
	waits bool      // a root: for its intermediates
}

func (v *view) drainGate(a *authority, p Policy, facts *store.Facts) drainGate {
	g := drainGate{quiet: later(a.StateSince, facts.At).Add(p.Skew)}
	for _, issuer := range v.all {
		left, ok := facts.Issuers[issuer.ID]
		if !ok || issuer != a && issuer.ParentID != a.ID {
			continue
		}
		g.live += left.Live
		g.last = later(g.last, left.NotAfter.Add(p.Skew))
	}
	g.waits = v.under(a, ca.StatePrepared, ca.StateActive, ca.StateRetiring, ca.StateTainted)
	return g
}

func (g drainGate) passed(now time.Time) bool {
	return g.live == 0 && g.last.IsZero() && !g.waits && !now.Before(g.quiet)
}

func (g drainGate) describe(now time.Time) Gate {
	gate := Gate{Phase: PhaseDraining, Live: g.live, OpensAt: later(g.quiet, g.last)}
	switch {
	case g.passed(now):
		gate.Waiting = "open: nothing unexpired is left under it"
	case g.live > 0:
		gate.Waiting = fmt.Sprintf("waiting: %d unexpired certificates are left under it; opens by time at %s", g.live, instant(gate.OpensAt))
	case g.waits:
		gate.Waiting = "waiting: an intermediate under it has not retired"
	default:
		gate.Waiting = "waiting: opens at " + instant(gate.OpensAt)
	}
	return gate
}
