package diagnosis

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

const (
	// The parts of an authority's life that are left when it is told of, and the floors of roots: as
	// in the alerts on expiry.
	lifeWarning  = 0.2
	lifeCritical = 0.1
	rootWarning  = 90 * day
	rootCritical = 30 * day

	// dueGrace is how late a step may be that some replica takes within seconds.
	dueGrace = time.Hour
	// phaseGrace is how long a phase may go on past its deadline.
	phaseGrace = 15 * time.Minute
	// crlGrace is how long a new authority may be without all its lists.
	crlGrace = 5 * time.Minute
)

// authority is a row of the generation with its certificate.
type authority struct {
	store.Authority
	cert *x509.Certificate
}

func (a *authority) text() string { return fmt.Sprintf("%s %s", a.Role, a.ID) }

func (a *authority) is(states ...ca.State) bool { return slices.Contains(states, ca.State(a.State)) }

// parse reads the certificates of a generation.
func parse(gen *store.Generation) ([]authority, error) {
	all := make([]authority, len(gen.Authorities))
	for i, row := range gen.Authorities {
		cert, err := x509.ParseCertificate(row.Certificate)
		if err != nil {
			return nil, fmt.Errorf("authority %s: %w", row.ID, err)
		}
		all[i] = authority{row, cert}
	}
	return all, nil
}

// authorityChecks are about what the current generation holds.
func (e *Examiner) authorityChecks() {
	type judge func(ctx context.Context, gen *store.Generation, all []authority, now time.Time) (verdict, error)
	add := func(name string, f judge) {
		e.add(name, func(ctx context.Context, now time.Time) (verdict, error) {
			gen, err := e.cfg.Database.Generation(ctx)
			if err != nil {
				return verdict{}, fmt.Errorf("read generation: %w", err)
			}
			all, err := parse(gen)
			if err != nil {
				return verdict{}, err
			}
			return f(ctx, gen, all, now)
		})
	}
	add("authorities", func(_ context.Context, _ *store.Generation, all []authority, now time.Time) (verdict, error) {
		return judgeExpiry(all, now), nil
	})
	add("issuer", func(_ context.Context, _ *store.Generation, all []authority, now time.Time) (verdict, error) {
		return judgeIssuer(all, e.cfg.Policy.LongestLeaf, now), nil
	})
	add("rotation", func(_ context.Context, gen *store.Generation, _ []authority, now time.Time) (verdict, error) {
		roles, err := rotation.Roles(gen, e.cfg.Policy, e.facts())
		return judgeRotation(roles, now), err
	})
	add("tainted", func(_ context.Context, _ *store.Generation, all []authority, now time.Time) (verdict, error) {
		return judgeTainted(all, now), nil
	})
	add("keys", func(_ context.Context, _ *store.Generation, all []authority, _ time.Time) (verdict, error) {
		return e.lookAtKeys(all), nil
	})
	add("crls", func(ctx context.Context, _ *store.Generation, all []authority, now time.Time) (verdict, error) {
		lists, err := e.cfg.Database.CRLs(ctx)
		return judgeCRLs(all, lists, now), err
	})
	add("algorithms", func(_ context.Context, _ *store.Generation, all []authority, now time.Time) (verdict, error) {
		return judgeAlgorithms(all, e.cfg.Settings().Profiles, now), nil
	})
}

// facts is what one replica has counted for all; nil when that is not known.
func (e *Examiner) facts() *store.Facts {
	if e.cfg.Fleet == nil {
		return nil
	}
	if figures := e.cfg.Fleet.Figures(); figures != nil {
		return figures.Facts
	}
	return nil
}

// judgeExpiry looks at how much is left of the authorities that sign, or will.
func judgeExpiry(all []authority, now time.Time) verdict {
	v := fine("every authority has more than %.0f%% of its life left", lifeWarning*100)
	for i := range all {
		a := &all[i]
		if !a.is(ca.StatePrepared, ca.StateActive) {
			continue
		}
		left, life := a.cert.NotAfter.Sub(now), a.cert.NotAfter.Sub(a.cert.NotBefore)
		ratio, root := left.Seconds()/life.Seconds(), a.Role == string(ca.RoleRoot)
		v.note(a.ID, fmt.Sprintf("%s %s, ends %s, %.0f%% left", a.State, a.Role, instant(a.cert.NotAfter), max(ratio, 0)*100))
		v.grade(ratio < lifeCritical || root && left < rootCritical, ratio < lifeWarning || root && left < rootWarning,
			"pando authority list, and docs/runbooks/authority-expiring.md", "%s ends at %s, which is in %s", a.text(), instant(a.cert.NotAfter), span(left))
	}
	return v
}

// judgeIssuer looks whether the active intermediate covers the longest certificate.
func judgeIssuer(all []authority, longest time.Duration, now time.Time) verdict {
	const advice = "pando authority rotate, and docs/runbooks/issuer-cannot-cover-leaf.md"
	v := fine("the active intermediate covers the longest certificate")
	v.note("longest_certificate", span(longest))
	at := slices.IndexFunc(all, func(a authority) bool {
		return a.Role == string(ca.RoleIntermediate) && a.is(ca.StateActive)
	})
	if at < 0 {
		v.say(server.LevelCritical, advice, "there is no active intermediate: nothing is issued")
		return v
	}
	left := all[at].cert.NotAfter.Sub(now)
	v.note("issuer", all[at].ID)
	v.note("issuer_ends", instant(all[at].cert.NotAfter))
	v.grade(left < longest, false, advice, "%s has %s left, and the longest certificate is of %s", all[at].text(), span(left), span(longest))
	return v
}

// judgeRotation compares the rotation of each role with its schedule.
func judgeRotation(roles []rotation.RoleStatus, now time.Time) verdict {
	v := fine("every step has been taken that is due")
	for _, r := range roles {
		v.note(string(r.Role), fmt.Sprintf("%s since %s, next step due %s", r.Phase, instant(r.Entered), instant(r.Due)))
		late := now.Sub(r.Due)
		v.grade(false, late > dueGrace, "pando authority list, and docs/runbooks/rotation-overdue.md",
			"the successor of the active %s has been due for %s", r.Role, span(late))
		late = now.Sub(r.Entered.Add(r.Deadline))
		v.grade(r.Deadline > 0 && late > phaseGrace, false, "pando authority list, and docs/runbooks/rotation-overdue.md",
			"the %s is %s, which should have been over %s ago", r.Role, r.Phase, span(late))
	}
	return v
}

// judgeTainted looks for authorities that somebody has to revoke.
func judgeTainted(all []authority, now time.Time) verdict {
	v := fine("no authority is tainted")
	for i := range all {
		if a := &all[i]; a.is(ca.StateTainted) {
			v.say(server.LevelWarning, "pando incident list, and pando authority revoke "+a.ID+" once nothing depends on it: docs/runbooks/compromised-"+a.Role+".md",
				"%s has been tainted for %s, and is trusted until it is revoked", a.text(), span(now.Sub(a.StateSince)))
		}
	}
	return v
}

// lookAtKeys opens the key of each authority that may sign, and compares it with the certificate.
func (e *Examiner) lookAtKeys(all []authority) verdict {
	var facts []keyFact
	for i := range all {
		a := &all[i]
		fact := keyFact{authority: a}
		switch {
		case !a.is(ca.StatePrepared, ca.StateActive, ca.StateRetiring, ca.StateTainted):
			continue
		case len(a.Key) > 0:
			fact.signer, fact.err = e.cfg.OpenKey(a.Key, ca.Role(a.Role))
		}
		facts = append(facts, fact)
	}
	return judgeKeys(facts)
}

// keyFact is an authority and its key: neither signer nor err for one that is kept elsewhere.
type keyFact struct {
	authority *authority
	signer    crypto.Signer
	err       error
}

// judgeKeys compares keys with certificates. What is wrong with a key is not told: the log of the
// server has it.
func judgeKeys(facts []keyFact) verdict {
	v := fine("every key can be opened, and is that of its certificate")
	elsewhere := 0
	for _, f := range facts {
		a := f.authority
		signs := a.is(ca.StatePrepared, ca.StateActive)
		switch {
		case f.err != nil:
			v.grade(signs, true, "docs/runbooks/lost-keys.md", "the key of %s, which is %s, cannot be opened", a.text(), a.State)
		case f.signer == nil && a.Role == string(ca.RoleIntermediate):
			v.grade(signs, true, "docs/runbooks/lost-keys.md", "%s, which is %s, has no key", a.text(), a.State)
		case f.signer == nil:
			elsewhere++
		case !sameKey(f.signer.Public(), a.cert.PublicKey):
			v.grade(signs, true, "docs/runbooks/lost-keys.md", "the key of %s, which is %s, is not that of its certificate", a.text(), a.State)
		}
	}
	v.note("keys", len(facts)-elsewhere)
	v.note("kept_elsewhere", elsewhere)
	return v
}

func sameKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

// judgeCRLs looks how fresh the lists are of every authority that publishes one.
func judgeCRLs(all []authority, lists []store.CRL, now time.Time) verdict {
	const advice = "pando schedule run crls, and docs/runbooks/crl-stale.md"
	v := fine("every CRL is fresh")
	for i := range all {
		a := &all[i]
		if !ca.State(a.State).Published() || len(a.Key) == 0 || !now.Before(a.cert.NotAfter) {
			continue // it publishes none
		}
		oldest, count, shards := oldestOf(lists, a.ID)
		if count == 0 || count < shards {
			v.grade(now.Sub(a.StateSince) > crlGrace, false, advice, "%s has published %d CRLs of %d", a.text(), count, max(shards, 1))
			continue
		}
		left := oldest.NextUpdate.Sub(now)
		validity := oldest.NextUpdate.Sub(oldest.ThisUpdate.Add(ca.MaxSkew)) // which is when it was made
		v.note(a.ID, fmt.Sprintf("%d CRLs, the first to end does so at %s", count, instant(oldest.NextUpdate)))
		v.grade(left < 0, false, advice, "the CRL of %s ended %s ago: who checks it refuses what it has signed", a.text(), span(-left))
		v.grade(left >= 0 && left < validity/2, false, advice, "the CRL of %s has %s left of %s: it is not published any more", a.text(), span(left), span(validity))
	}
	return v
}

// oldestOf is the list of an authority that ends first, and how many there are of how many.
func oldestOf(lists []store.CRL, authority string) (oldest store.CRL, count, shards int) {
	for _, l := range lists {
		if l.Authority != authority {
			continue
		}
		if count == 0 || l.NextUpdate.Before(oldest.NextUpdate) {
			oldest = l
		}
		count++
		shards = max(shards, l.Shards)
	}
	return oldest, count, shards
}
