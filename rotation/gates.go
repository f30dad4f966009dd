package rotation

import (
	"fmt"
	"slices"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

// Phases of an authority, as an operator sees them.
const (
	PhaseSpreading = "spreading" // a prepared root: its certificate reaches those who verify
	PhaseSigning   = "signing"   // active
	PhaseDraining  = "draining"  // retiring: what it signed expires
	PhaseReplacing = "replacing" // tainted: what it signed is replaced; then somebody revokes it
	PhaseGone      = "gone"      // retired or revoked: the row is kept until the certificate has expired
)

// Gate is what an authority waits for, as of a moment.
type Gate struct {
	Authority string
	Phase     string    // one of the phases above
	Waiting   string    // a sentence for people
	OpensAt   time.Time // when it opens by itself; zero: that depends on others, or on nothing

	Followers int // of a prepared root: certificates whose holders acknowledge bundles
	Behind    int // of these, those that have not acknowledged one with this root
	Live      int // of a retiring or tainted authority: live certificates that it waits for
}

// Gates says what each authority of a generation waits for at now, in their order. It is pure;
// counts are as for [Plan], with the dependents of what is tainted; where these are nil nobody has
// counted them, and what lives is told instead.
func Gates(gen *store.Generation, p Policy, counts *Counts, now time.Time) ([]Gate, error) {
	v, err := look(gen)
	if err != nil {
		return nil, fmt.Errorf("gates: generation %d: %w", gen.Number, err)
	}
	gates := make([]Gate, len(v.all))
	for i, a := range v.all {
		gates[i] = v.gate(a, p, counts, now)
		gates[i].Authority = a.ID
	}
	return gates, nil
}

func (v *view) gate(a *authority, p Policy, counts *Counts, now time.Time) Gate {
	switch {
	case a == v.next:
		return v.spreadGate(p, counts).describe(now)
	case a == v.root:
		return v.describeRoot(p, counts)
	case a == v.issuer:
		return v.describeIssuer(p)
	case a.is(ca.RoleIntermediate, ca.StatePrepared):
		return Gate{Phase: PhaseSpreading, Waiting: "waiting: it issues once its root " + a.ParentID + " is activated"}
	case a.has(ca.StateRetiring):
		return v.drainGate(a, p, counts).describe(now)
	case a.has(ca.StateTainted):
		return v.describeTainted(a, p, counts)
	}
	opens := a.cert.NotAfter.Add(p.Skew)
	return Gate{Phase: PhaseGone, OpensAt: opens, Waiting: "it is forgotten at " + instant(opens)}
}

// describeTainted is the gate that only a person opens.
func (v *view) describeTainted(a *authority, p Policy, counts *Counts) Gate {
	issuers := v.leansOn(a)
	if counts.Dependents == nil {
		live := 0
		for _, issuer := range issuers {
			live += counts.Issuers[issuer].Live
		}
		return Gate{Phase: PhaseReplacing, Live: live, Waiting: fmt.Sprintf("waiting: %d live certificates are left under it; it waits to be revoked", live)}
	}
	left := sum(counts.Dependents, issuers)
	if left.Certificates == 0 {
		return Gate{Phase: PhaseReplacing, Waiting: "open: nothing depends on it; it waits to be revoked"}
	}
	total := left.Certificates
	for _, i := range v.gen.Incidents {
		if slices.ContainsFunc(i.Issuers, func(issuer string) bool { return slices.Contains(issuers, issuer) }) {
			total = max(total, i.Total)
		}
	}
	opens := left.NotAfter.Add(p.Skew)
	return Gate{Phase: PhaseReplacing, Live: left.Certificates, OpensAt: opens, Waiting: fmt.Sprintf(
		"waiting: %d of %d certificates are replaced; it can be revoked when all are, or have expired, at %s",
		total-left.Certificates, total, instant(opens))}
}

// sum adds up what depends on several issuers.
func sum(counts map[string]store.Dependents, issuers []string) store.Dependents {
	var all store.Dependents
	for _, issuer := range issuers {
		d := counts[issuer]
		all.Certificates += d.Certificates
		all.PerSecond += d.PerSecond
		all.Renewed += d.Renewed
		all.NotAfter = later(all.NotAfter, d.NotAfter)
	}
	return all
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

func (v *view) describeRoot(p Policy, counts *Counts) Gate {
	due, reason := v.preparationDue(p)
	g := Gate{Phase: PhaseSigning, OpensAt: due}
	switch {
	case v.next != nil:
		g.OpensAt, g.Waiting = time.Time{}, fmt.Sprintf("its successor %s is prepared", v.next.ID)
	case v.earlierInUse(counts):
		g.Waiting = fmt.Sprintf("its successor is prepared at %s, once the root before it is not in use any more: %s", instant(due), reason)
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

func (v *view) spreadGate(p Policy, counts *Counts) spreadGate {
	g := spreadGate{
		sequence: v.next.Sequence,
		early:    v.next.StateSince.Add(p.early()),
		// Once the active root has ended there is nothing left that waiting would protect.
		late:   earlier(v.next.StateSince.Add(p.spread()), v.root.cert.NotAfter.Add(p.Skew)),
		behind: counts.Behind(v.next.Sequence),
	}
	if v.next.CrossParentID == "" { // nothing carries those who do not follow
		g.early = g.late
	}
	for _, count := range counts.Followers {
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

// drainGate stands between use and retirement: nobody may still present what it signed, and no list
// of revoked certificates is left for it to sign.
type drainGate struct {
	quiet time.Time // when it had stopped signing for every clock, and the facts are for all of them
	left  int       // unexpired certificates
	live  int       // of these, those that are not revoked
	last  time.Time // end of the last of them, for every clock; zero: none
	waits bool      // a root: for its intermediates
}

func (v *view) drainGate(a *authority, p Policy, counts *Counts) drainGate {
	g := drainGate{quiet: later(a.StateSince, counts.At).Add(p.Skew)}
	if !counts.RestoredAt.IsZero() { // what was issued after the backup has no record, and may live
		g.quiet = later(g.quiet, counts.RestoredAt.Add(p.LongestLeaf+p.Skew))
	}
	for _, issuer := range v.leansOn(a) {
		left, ok := counts.Issuers[issuer]
		if !ok {
			continue
		}
		g.left += left.Unexpired
		g.live += left.Live
		g.last = later(g.last, left.NotAfter.Add(p.Skew))
	}
	g.waits = v.under(a, ca.StatePrepared, ca.StateActive, ca.StateRetiring)
	return g
}

func (g drainGate) passed(now time.Time) bool {
	return g.left == 0 && g.last.IsZero() && !g.waits && !now.Before(g.quiet)
}

func (g drainGate) describe(now time.Time) Gate {
	gate := Gate{Phase: PhaseDraining, Live: g.live, OpensAt: later(g.quiet, g.last)}
	revoked := ""
	if g.live < g.left {
		revoked = fmt.Sprintf(", %d of them revoked", g.left-g.live)
	}
	switch {
	case g.passed(now):
		gate.Waiting = "open: nothing unexpired is left under it"
	case g.left > 0:
		gate.Waiting = fmt.Sprintf("waiting: %d unexpired certificates are left under it%s; opens by time at %s", g.left, revoked, instant(gate.OpensAt))
	case g.waits:
		gate.Waiting = "waiting: an intermediate under it has not retired"
	default:
		gate.Waiting = "waiting: opens at " + instant(gate.OpensAt)
	}
	return gate
}
