package storetest

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pando-ca/pando/store"
)

// newIncident is an open incident.
func newIncident(id string, at time.Time) store.Incident {
	return store.Incident{
		ID: id, CreatedAt: at, Actor: "spiffe://example.org/pando/admin/a", Reason: "key was copied", Issuers: []string{"i", "j"},
		IssuedBefore: at.Add(5 * time.Minute), StartsAt: at.Add(time.Second), Deadline: at.Add(4 * time.Hour), Rate: 0.8680555555555556, Total: 10_000,
	}
}

func testIncidents(t *testing.T, a, b Store) {
	ctx := t.Context()
	_, err := a.Incident(ctx, "x")
	wantError(t, "an unknown incident", err, store.ErrNotFound)
	want := func(what string, open, all []store.Incident) {
		t.Helper()
		gen, err := b.Generation(ctx)
		must(t, err)
		wantSame(t, what+", in the generation", gen.Incidents, open)
		listed, err := b.Incidents(ctx, 10)
		must(t, err)
		wantSame(t, what+", in the list", listed, all)
	}
	gen := newGeneration(1, "r")
	replace(t, a, gen)
	want("none", nil, nil)

	first, second := newIncident("z", Now()), newIncident("a", Now().Add(time.Hour))
	second.Issuers = nil
	gen.Number, gen.Incidents = 2, []store.Incident{first}
	replace(t, a, gen)
	second.Issuers = []string{}
	want("one", []store.Incident{first}, []store.Incident{first})
	gen.Number, gen.Incidents = 3, []store.Incident{first, second}
	replace(t, a, gen)
	want("two", []store.Incident{first, second}, []store.Incident{second, first})

	gen.Number, gen.Incidents = 4, nil
	replace(t, a, gen) // by a replica that does not know of incidents
	want("left out", []store.Incident{first, second}, []store.Incident{second, first})
	first.ClosedAt = Now().Add(2 * time.Hour)
	gen.Number, gen.Incidents = 5, []store.Incident{first, second}
	replace(t, a, gen)
	want("one is closed", []store.Incident{second}, []store.Incident{second, first})
	found, err := b.Incident(ctx, first.ID)
	must(t, err)
	wantSame(t, "by its ID", *found, first)
	latest, err := b.Incidents(ctx, 1)
	must(t, err)
	wantSame(t, "the latest", latest, []store.Incident{second})

	third := newIncident("t", Now())
	gen.Number, gen.Incidents = 6, []store.Incident{third}
	wantError(t, "a lost race", a.ReplaceGeneration(ctx, 4, gen, store.Fence{}), store.ErrInvalid)
	gen.Number = 5
	wantError(t, "a lost race", a.ReplaceGeneration(ctx, 4, gen, store.Fence{}), store.ErrConflict)
	_, err = b.Incident(ctx, third.ID)
	wantError(t, "an incident of a race that was lost", err, store.ErrNotFound)
}

func testDependents(t *testing.T, a, b Store) {
	ctx, now := t.Context(), Now()
	issue := func(issuer string, lifetime time.Duration, replaces *store.Issuance) *store.Issuance {
		i := by(issuer)
		i.NotBefore, i.NotAfter = now, now.Add(lifetime)
		i.Serial = NewSerial(i.NotAfter)
		if replaces != nil {
			i.Replaces = replaces.Serial
		}
		mustInsert(t, a, i)
		return i
	}
	want := func(what string, f store.DependentsFilter, want map[string]store.Dependents) {
		t.Helper()
		got, err := b.Dependents(ctx, f)
		must(t, err)
		if diff := cmp.Diff(want, got, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	both := store.DependentsFilter{Issuers: []string{"old", "none"}, Now: now.Add(time.Minute)}
	want("nothing", both, map[string]store.Dependents{})
	first, second := issue("old", time.Hour, nil), issue("old", 10*time.Hour, nil)
	revoked := issue("old", 20*time.Hour, nil)
	must(t, a.Revoke(ctx, revoked.Serial, now, 1, NewAudit("certificate.revoke", "r")))
	issue("old", time.Second, nil)
	issue("other", time.Hour, nil)
	want("two of the old", both, map[string]store.Dependents{
		"old": {Certificates: 2, NotAfter: second.NotAfter, PerSecond: 1.0/3600 + 1.0/36000},
	})
	next := issue("new", time.Minute, second)
	want("one is renewed, by one that has expired since", both, map[string]store.Dependents{
		"old": {Certificates: 1, NotAfter: first.NotAfter, PerSecond: 1.0 / 3600, Renewed: 1},
	})
	must(t, a.Revoke(ctx, next.Serial, now, 1, NewAudit("certificate.revoke", "r")))
	made := by("new")
	made.NotBefore, made.NotAfter, made.Replaces, made.Method = now, now.Add(time.Hour), first.Serial, "pre_renew"
	made.Serial = NewSerial(made.NotAfter)
	mustInsert(t, a, made)
	want("the other is renewed by Pando itself, and not collected", both, map[string]store.Dependents{
		"old": {Certificates: 1, NotAfter: first.NotAfter, PerSecond: 1.0 / 3600, Renewed: 1},
	})
	must(t, a.Collect(ctx, made.Serial))
	want("and collected", both, map[string]store.Dependents{"old": {Renewed: 2}})
	issue("old", time.Hour, first)
	late := both
	late.IssuedBefore, late.RenewedSince = now.Add(time.Second), now.Add(time.Second)
	want("the other by one of the same issuer", late, map[string]store.Dependents{
		"old": {Certificates: 1, NotAfter: now.Add(time.Hour), PerSecond: 1.0 / 3600},
	})
	late.IssuedBefore = now
	want("none was issued before", late, map[string]store.Dependents{})
	want("no issuer", store.DependentsFilter{Now: now}, map[string]store.Dependents{})
}

// testDependentsModel compares with a loop over everything.
func testDependentsModel(t *testing.T, a, b Store) {
	random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // the same history each time
	issuers := []string{"i1", "i2", "i3"}
	var all []*counted
	renewed := make(map[store.Serial]time.Time)
	for range 120 {
		i := by(issuers[random.IntN(len(issuers))])
		i.IssuedAt = Now().Add(time.Duration(len(all)) * time.Minute)
		i.NotBefore, i.NotAfter = i.IssuedAt, i.IssuedAt.Add(time.Duration(1+random.IntN(60))*time.Hour)
		i.Serial = NewSerial(i.NotAfter)
		if len(all) > 0 && random.IntN(2) == 0 {
			i.Replaces = all[random.IntN(len(all))].Serial
			renewed[i.Replaces] = i.IssuedAt
		}
		mustInsert(t, a, i)
		c := &counted{Issuance: i, revoked: random.IntN(10) == 0}
		if c.revoked {
			must(t, b.Revoke(t.Context(), i.Serial, Now(), 1, NewAudit("certificate.revoke", "r")))
		}
		all = append(all, c)
	}
	for range 30 {
		f := store.DependentsFilter{
			Issuers: issuers[:1+random.IntN(2)], Now: Now().Add(time.Duration(random.IntN(60)) * time.Hour),
			IssuedBefore: Now().Add(time.Duration(random.IntN(120)) * time.Minute), RenewedSince: Now().Add(time.Duration(random.IntN(120)) * time.Minute),
		}
		got, err := b.Dependents(t.Context(), f)
		must(t, err)
		if diff := cmp.Diff(slowDependents(all, renewed, f), got, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", f, diff)
		}
	}
}

func slowDependents(all []*counted, renewed map[store.Serial]time.Time, f store.DependentsFilter) map[string]store.Dependents {
	found := make(map[string]store.Dependents)
	for _, c := range all {
		if !slices.Contains(f.Issuers, c.Issuer) || c.revoked || !c.NotAfter.After(f.Now) || !c.IssuedAt.Before(f.IssuedBefore) {
			continue
		}
		d := found[c.Issuer]
		if at, ok := renewed[c.Serial]; !ok {
			d.Certificates++
			d.PerSecond += 1 / c.NotAfter.Sub(c.NotBefore).Seconds()
			if c.NotAfter.After(d.NotAfter) {
				d.NotAfter = c.NotAfter
			}
		} else if !at.Before(f.RenewedSince) {
			d.Renewed++
		}
		found[c.Issuer] = d
	}
	return found
}
