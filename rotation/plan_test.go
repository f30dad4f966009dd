package rotation_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/store"
)

var (
	planNoon   = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	planPolicy = rotation.Policy{
		RootLifetime: 1000 * time.Hour, RootEvery: 400 * time.Hour,
		IntermediateLifetime: 200 * time.Hour, IntermediateEvery: 100 * time.Hour,
		LongestLeaf: 24 * time.Hour, Skew: 10 * time.Minute, RefreshHint: 5 * time.Minute,
	}
)

// rows is a generation of a throw-away PKI, all of it since noon.
func rows(pki *catest.CA) *store.Generation {
	cfg := pki.SetConfig()
	gen := &store.Generation{
		Number: cfg.Generation, TrustDomain: cfg.TrustDomain.String(), Sequence: cfg.Sequence, PublishedAt: planNoon, WindowKey: []byte("sealed"),
	}
	for _, a := range cfg.Authorities {
		row := store.Authority{
			ID: a.ID, Role: string(a.Role), State: string(a.State), ParentID: a.ParentID, Certificate: a.Certificate,
			StateSince: planNoon, CrossParentID: a.CrossParentID, CrossCertificate: a.CrossCertificate,
		}
		if a.Signer != nil {
			row.Key = []byte("sealed key of " + a.ID)
		}
		if a.State == ca.StatePrepared {
			row.Sequence = cfg.Sequence
		}
		gen.Authorities = append(gen.Authorities, row)
	}
	return gen
}

// Places of the authorities in the generations of a catest PKI.
const (
	oldRoot = iota
	oldIssuer
	newRoot
	newIssuer
)

// phases of a root rotation. The intermediates live for 200 hours, the roots for three years.
func phases(t *testing.T) map[string]*store.Generation {
	t.Helper()
	pki := catest.New(t, catest.Options{Now: planNoon, Lifetime: planPolicy.IntermediateLifetime, RootKey: ca.ECDSAP256})
	prepared := pki.Prepare(t)
	rotating := prepared.Activate(t)
	return map[string]*store.Generation{
		"steady": rows(pki), "prepared": rows(prepared), "rotating": rows(rotating), "retired": rows(rotating.Retire(t)),
	}
}

func TestPlan(t *testing.T) {
	type want struct {
		kind  rotation.StepKind
		place int
	}
	generations := phases(t)
	under := func(place, live int, last time.Duration) func(*store.Generation, *store.Facts) {
		return func(g *store.Generation, f *store.Facts) {
			f.Issuers[g.Authorities[place].ID] = store.IssuerFacts{Live: live, Unexpired: live, NotAfter: planNoon.Add(last)}
		}
	}
	followers := func(counts map[uint64]int) func(*store.Generation, *store.Facts) {
		return func(_ *store.Generation, f *store.Facts) { f.Followers = counts }
	}
	both := func(all ...func(*store.Generation, *store.Facts)) func(*store.Generation, *store.Facts) {
		return func(g *store.Generation, f *store.Facts) {
			for _, one := range all {
				one(g, f)
			}
		}
	}
	restored := func(after time.Duration) func(*store.Generation, *store.Facts) {
		return func(_ *store.Generation, f *store.Facts) { f.RestoredAt = planNoon.Add(after) }
	}
	const early, late = 35 * time.Minute, 24*time.Hour + 10*time.Minute
	for name, tt := range map[string]struct {
		phase string
		after time.Duration
		facts func(*store.Generation, *store.Facts)
		want  []want
	}{
		"nothing is due":                             {phase: "steady", after: 99 * time.Hour},
		"the intermediate has served":                {phase: "steady", after: 100 * time.Hour, want: []want{{rotation.StepRotateIntermediate, oldIssuer}}},
		"the root has served":                        {phase: "steady", after: 400 * time.Hour, want: []want{{rotation.StepRotateIntermediate, oldIssuer}, {rotation.StepPrepareRoot, oldRoot}}},
		"nobody follows":                             {phase: "prepared", after: late - 1},
		"nobody follows, and time has passed":        {phase: "prepared", after: late, want: []want{{rotation.StepActivateRoot, newRoot}}},
		"all followers have it, too early":           {phase: "prepared", after: early - 1, facts: followers(map[uint64]int{2: 9})},
		"all followers have it":                      {phase: "prepared", after: early, facts: followers(map[uint64]int{2: 9}), want: []want{{rotation.StepActivateRoot, newRoot}}},
		"all followers have it or a later one":       {phase: "prepared", after: early, facts: followers(map[uint64]int{2: 9, 3: 1}), want: []want{{rotation.StepActivateRoot, newRoot}}},
		"one follower is behind":                     {phase: "prepared", after: late - 1, facts: followers(map[uint64]int{1: 1, 2: 9999})},
		"one follower is behind, and time is up":     {phase: "prepared", after: late, facts: followers(map[uint64]int{1: 1, 2: 9999}), want: []want{{rotation.StepActivateRoot, newRoot}}},
		"leaves are left under the old intermediate": {phase: "rotating", after: 30 * time.Hour, facts: under(oldIssuer, 1, 31*time.Hour)},
		"leaves are left under the new one only":     {phase: "rotating", after: 30 * time.Hour, facts: under(newIssuer, 1, 31*time.Hour), want: []want{{rotation.StepRetire, oldIssuer}}},
		"revoked leaves are left under the old intermediate": {phase: "rotating", after: 30 * time.Hour, facts: func(g *store.Generation, f *store.Facts) {
			f.Issuers[g.Authorities[oldIssuer].ID] = store.IssuerFacts{Unexpired: 1, NotAfter: planNoon.Add(31 * time.Hour)}
		}},
		"leaves without a record may be left, since a restore": {phase: "rotating", after: 54*time.Hour + 10*time.Minute - 1, facts: restored(30 * time.Hour)},
		"leaves without a record have expired": {
			phase: "rotating", after: 54*time.Hour + 10*time.Minute, facts: restored(30 * time.Hour), want: []want{{rotation.StepRetire, oldIssuer}},
		},
		"it stopped signing just now": {phase: "rotating", after: 10*time.Minute - 1},
		"no second root while one retires": {
			phase: "rotating", after: 400 * time.Hour, facts: under(oldIssuer, 1, 500*time.Hour), want: []want{{rotation.StepRotateIntermediate, newIssuer}},
		},
		"the retired intermediate has expired, its root has not": {
			phase: "retired", after: 200*time.Hour + 10*time.Minute + time.Second, facts: both(under(newIssuer, 1, 201*time.Hour)),
			want: []want{{rotation.StepRotateIntermediate, newIssuer}, {rotation.StepDrop, oldIssuer}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			gen, now := generations[tt.phase], planNoon.Add(tt.after)
			counts := &rotation.Counts{Facts: store.Facts{At: planPolicy.FactsAt(now), Issuers: make(map[string]store.IssuerFacts)}}
			if tt.facts != nil {
				tt.facts(gen, &counts.Facts)
			}
			steps, err := rotation.Plan(gen, planPolicy, counts, now)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range steps {
				got = append(got, string(s.Kind)+" "+s.Authority)
			}
			var wanted []string
			for _, w := range tt.want {
				wanted = append(wanted, string(w.kind)+" "+gen.Authorities[w.place].ID)
			}
			if diff := cmp.Diff(wanted, got); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPlanOnFreshFactsRetiresNothing is a caller that forgot FactsAt: a certificate that has
// expired here may be good on a slower clock.
func TestPlanOnFreshFactsRetiresNothing(t *testing.T) {
	now := planNoon.Add(30 * time.Hour)
	steps, err := rotation.Plan(phases(t)["rotating"], planPolicy, &rotation.Counts{Facts: store.Facts{At: now}}, now)
	if err != nil || len(steps) != 0 {
		t.Errorf("steps %v, %v, want none", steps, err)
	}
}

// TestPlanOfAnEndedRoot does not wait for those who cannot verify anything any more.
func TestPlanOfAnEndedRoot(t *testing.T) {
	gen := phases(t)["prepared"]
	now := planNoon.AddDate(3, 0, 1)
	for i := range gen.Authorities {
		gen.Authorities[i].StateSince = now
	}
	steps, err := rotation.Plan(gen, planPolicy, &rotation.Counts{}, now)
	if err != nil || len(steps) == 0 || steps[0].Kind != rotation.StepActivateRoot {
		t.Errorf("steps %v, %v, want activation", steps, err)
	}
}

func TestPlanRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(*store.Generation)
		want  string
	}{
		"two active roots":         {func(g *store.Generation) { g.Authorities[newRoot].State = "active" }, "both active"},
		"no active root":           {func(g *store.Generation) { g.Authorities[oldRoot].State = "retiring" }, "no active root"},
		"no active intermediate":   {func(g *store.Generation) { g.Authorities[oldIssuer].State = "retiring" }, "no active intermediate"},
		"something else in a row":  {func(g *store.Generation) { g.Authorities[oldRoot].Certificate = []byte("x") }, "x509"},
		"nothing, not even a root": {func(g *store.Generation) { g.Authorities = nil }, "no active root"},
	} {
		t.Run(name, func(t *testing.T) {
			gen := phases(t)["prepared"]
			tt.spoil(gen)
			if _, err := rotation.Plan(gen, planPolicy, &rotation.Counts{}, planNoon); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Plan: error %v, want one about %q", err, tt.want)
			}
			if _, err := rotation.Gates(gen, planPolicy, &rotation.Counts{}, planNoon); err == nil {
				t.Error("Gates: no error")
			}
		})
	}
}

func TestGates(t *testing.T) {
	generations := phases(t)
	at := func(d time.Duration) time.Time { return planNoon.Add(d) }
	for name, tt := range map[string]struct {
		phase string
		place int
		after time.Duration
		facts store.Facts
		want  rotation.Gate
	}{
		"an active root": {phase: "steady", place: oldRoot, want: rotation.Gate{
			Phase: rotation.PhaseSigning, OpensAt: at(400 * time.Hour),
			Waiting: "its successor is prepared at 2026-03-18T04:00:00Z: active since 2026-03-01T12:00:00Z, and replaced after 400h0m0s",
		}},
		"an active intermediate": {phase: "steady", place: oldIssuer, want: rotation.Gate{
			Phase: rotation.PhaseSigning, OpensAt: at(100 * time.Hour),
			Waiting: "its successor is made at 2026-03-05T16:00:00Z: active since 2026-03-01T12:00:00Z, and replaced after 100h0m0s",
		}},
		"a prepared root, some followers behind": {
			phase: "prepared", place: newRoot, facts: store.Facts{Followers: map[uint64]int{1: 188, 2: 9812}},
			want: rotation.Gate{
				Phase: rotation.PhaseSpreading, OpensAt: at(24*time.Hour + 10*time.Minute), Followers: 10000, Behind: 188,
				Waiting: "waiting: 9812 of 10000 followers have acknowledged sequence 2; opens by time at 2026-03-02T12:10:00Z",
			},
		},
		"a prepared root, all followers there, too early": {
			phase: "prepared", place: newRoot, facts: store.Facts{Followers: map[uint64]int{2: 7}},
			want: rotation.Gate{
				Phase: rotation.PhaseSpreading, OpensAt: at(35 * time.Minute), Followers: 7,
				Waiting: "waiting: 7 of 7 followers have acknowledged sequence 2; opens at 2026-03-01T12:35:00Z",
			},
		},
		"a prepared root that nobody follows": {phase: "prepared", place: newRoot, want: rotation.Gate{
			Phase: rotation.PhaseSpreading, OpensAt: at(24*time.Hour + 10*time.Minute),
			Waiting: "waiting: nobody follows; opens by time at 2026-03-02T12:10:00Z",
		}},
		"a prepared root whose time has come": {phase: "prepared", place: newRoot, after: 25 * time.Hour, want: rotation.Gate{
			Phase: rotation.PhaseSpreading, OpensAt: at(24*time.Hour + 10*time.Minute),
			Waiting: "open: every leaf from before its publication has expired",
		}},
		"a root with a prepared successor": {phase: "prepared", place: oldRoot, want: rotation.Gate{
			Phase: rotation.PhaseSigning, Waiting: "its successor " + generations["prepared"].Authorities[newRoot].ID + " is prepared",
		}},
		"a retiring intermediate with leaves": {
			phase: "rotating", place: oldIssuer, after: time.Hour,
			facts: store.Facts{Issuers: map[string]store.IssuerFacts{generations["rotating"].Authorities[oldIssuer].ID: {Live: 312, Unexpired: 312, NotAfter: at(20 * time.Hour)}}},
			want: rotation.Gate{
				Phase: rotation.PhaseDraining, OpensAt: at(20*time.Hour + 10*time.Minute), Live: 312,
				Waiting: "waiting: 312 unexpired certificates are left under it; opens by time at 2026-03-02T08:10:00Z",
			},
		},
		"a retiring intermediate with revoked leaves": {
			phase: "rotating", place: oldIssuer, after: time.Hour,
			facts: store.Facts{Issuers: map[string]store.IssuerFacts{generations["rotating"].Authorities[oldIssuer].ID: {Live: 300, Unexpired: 312, NotAfter: at(20 * time.Hour)}}},
			want: rotation.Gate{
				Phase: rotation.PhaseDraining, OpensAt: at(20*time.Hour + 10*time.Minute), Live: 300,
				Waiting: "waiting: 312 unexpired certificates are left under it, 12 of them revoked; opens by time at 2026-03-02T08:10:00Z",
			},
		},
		"a retiring root with an intermediate": {phase: "rotating", place: oldRoot, after: time.Hour, want: rotation.Gate{
			Phase: rotation.PhaseDraining, OpensAt: at(time.Hour), Waiting: "waiting: an intermediate under it has not retired",
		}},
		"a retiring intermediate without leaves": {phase: "rotating", place: oldIssuer, after: time.Hour, want: rotation.Gate{
			Phase: rotation.PhaseDraining, OpensAt: at(time.Hour), Waiting: "open: nothing unexpired is left under it",
		}},
		"a retired intermediate": {phase: "retired", place: oldIssuer, want: rotation.Gate{
			Phase: rotation.PhaseGone, OpensAt: at(200*time.Hour + 10*time.Minute), Waiting: "it is forgotten at 2026-03-09T20:10:00Z",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			gen, now := generations[tt.phase], at(tt.after)
			tt.facts.At = planPolicy.FactsAt(now)
			gates, err := rotation.Gates(gen, planPolicy, &rotation.Counts{Facts: tt.facts}, now)
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Authority = gen.Authorities[tt.place].ID
			if diff := cmp.Diff(tt.want, gates[tt.place]); diff != "" {
				t.Errorf("gate (-want +got):\n%s", diff)
			}
		})
	}
}

// TestGateOfATaintedAuthorityWithoutDependents: who has not counted them does not say that there are none.
func TestGateOfATaintedAuthorityWithoutDependents(t *testing.T) {
	gen := *phases(t)["rotating"]
	gen.Authorities = slices.Clone(gen.Authorities)
	tainted := &gen.Authorities[oldIssuer]
	tainted.State = string(ca.StateTainted)
	facts := store.Facts{Issuers: map[string]store.IssuerFacts{tainted.ID: {Live: 312, Unexpired: 320}}}
	for name, tt := range map[string]struct {
		dependents map[string]store.Dependents
		want       rotation.Gate
	}{
		"not counted": {nil, rotation.Gate{
			Phase: rotation.PhaseReplacing, Live: 312, Waiting: "waiting: 312 live certificates are left under it; it waits to be revoked",
		}},
		"none": {map[string]store.Dependents{}, rotation.Gate{
			Phase: rotation.PhaseReplacing, Waiting: "open: nothing depends on it; it waits to be revoked",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			gates, err := rotation.Gates(&gen, planPolicy, &rotation.Counts{Facts: facts, Dependents: tt.dependents}, planNoon)
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Authority = tainted.ID
			if diff := cmp.Diff(tt.want, gates[oldIssuer]); diff != "" {
				t.Errorf("gate (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPolicyRefuses(t *testing.T) {
	if err := planPolicy.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		spoil func(*rotation.Policy)
		want  string
	}{
		"no leaf":                                {func(p *rotation.Policy) { p.LongestLeaf = 0 }, "missing"},
		"no refresh hint":                        {func(p *rotation.Policy) { p.RefreshHint = 0 }, "missing"},
		"a negative lifetime":                    {func(p *rotation.Policy) { p.RootLifetime = -1 }, "missing"},
		"a negative skew":                        {func(p *rotation.Policy) { p.Skew = -1 }, "skew"},
		"leaves that outlive their intermediate": {func(p *rotation.Policy) { p.LongestLeaf = 100 * time.Hour }, "intermediates live for"},
		"intermediates that outlive their root":  {func(p *rotation.Policy) { p.RootLifetime = 600 * time.Hour }, "roots live for"},
		"roots that follow too fast":             {func(p *rotation.Policy) { p.RootEvery = 48 * time.Hour }, "a root every"},
	} {
		t.Run(name, func(t *testing.T) {
			p := planPolicy
			tt.spoil(&p)
			if err := p.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one about %q", err, tt.want)
			}
		})
	}
}
