package rotation_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/store"
)

func TestRoles(t *testing.T) {
	at := func(d time.Duration) time.Time { return planNoon.Add(d) }
	const late, drained = 24*time.Hour + 10*time.Minute, 24*time.Hour + 20*time.Minute
	taint := func(place int, since time.Duration) func(*store.Generation, *store.Facts) {
		return func(g *store.Generation, _ *store.Facts) {
			g.Authorities[place].State, g.Authorities[place].StateSince = "tainted", at(since)
		}
	}
	incident := func(deadline time.Duration) func(*store.Generation, *store.Facts) {
		return func(g *store.Generation, f *store.Facts) {
			taint(oldIssuer, 0)(g, f)
			g.Incidents = []store.Incident{{ID: "i", Issuers: []string{g.Authorities[oldIssuer].ID}, Deadline: at(deadline)}}
		}
	}
	steadyRoot := rotation.RoleStatus{Role: ca.RoleRoot, Due: at(400 * time.Hour), Phase: rotation.PhaseSigning, Entered: planNoon}
	steadyIssuer := rotation.RoleStatus{Role: ca.RoleIntermediate, Due: at(100 * time.Hour), Phase: rotation.PhaseSigning, Entered: planNoon}
	phase := func(s rotation.RoleStatus, phase string, entered, deadline time.Duration) rotation.RoleStatus {
		s.Phase, s.Entered, s.Deadline = phase, at(entered), deadline
		return s
	}
	spreading := phase(steadyRoot, rotation.PhaseSpreading, 0, late)
	spreading.Due = at(late)
	for name, tt := range map[string]struct {
		phase   string
		change  func(*store.Generation, *store.Facts)
		nothing bool // is known of what is left
		want    []rotation.RoleStatus
	}{
		"nothing is under way":         {phase: "steady", want: []rotation.RoleStatus{steadyRoot, steadyIssuer}},
		"a root is prepared":           {phase: "prepared", want: []rotation.RoleStatus{spreading, steadyIssuer}},
		"no facts are needed to start": {phase: "prepared", nothing: true, want: []rotation.RoleStatus{spreading, steadyIssuer}},
		"the old ones drain": {phase: "rotating", want: []rotation.RoleStatus{
			phase(steadyRoot, rotation.PhaseDraining, 0, drained), phase(steadyIssuer, rotation.PhaseDraining, 0, drained),
		}},
		"what is left lives longer than the policy says now": {phase: "rotating", change: func(g *store.Generation, f *store.Facts) {
			f.Issuers[g.Authorities[oldIssuer].ID] = store.IssuerFacts{Unexpired: 1, NotAfter: at(300 * time.Hour)}
		}, want: []rotation.RoleStatus{
			phase(steadyRoot, rotation.PhaseDraining, 0, 300*time.Hour+10*time.Minute), phase(steadyIssuer, rotation.PhaseDraining, 0, 300*time.Hour+10*time.Minute),
		}},
		"a restore puts retirement off": {phase: "rotating", change: func(_ *store.Generation, f *store.Facts) {
			f.RestoredAt = at(20 * time.Hour)
		}, want: []rotation.RoleStatus{
			phase(steadyRoot, rotation.PhaseDraining, 0, 44*time.Hour+10*time.Minute), phase(steadyIssuer, rotation.PhaseDraining, 0, 44*time.Hour+10*time.Minute),
		}},
		"a restore long ago puts nothing off": {phase: "rotating", change: func(_ *store.Generation, f *store.Facts) {
			f.RestoredAt = at(-20 * time.Hour)
		}, want: []rotation.RoleStatus{
			phase(steadyRoot, rotation.PhaseDraining, 0, drained), phase(steadyIssuer, rotation.PhaseDraining, 0, drained),
		}},
		"nobody knows what is left": {phase: "rotating", nothing: true, want: []rotation.RoleStatus{
			phase(steadyRoot, rotation.PhaseDraining, 0, 0), phase(steadyIssuer, rotation.PhaseDraining, 0, 0),
		}},
		"the old ones have retired": {phase: "retired", want: []rotation.RoleStatus{steadyRoot, steadyIssuer}},
		"a tainted one waits to be revoked": {phase: "rotating", change: taint(oldIssuer, 0), want: []rotation.RoleStatus{
			phase(steadyRoot, rotation.PhaseDraining, 0, drained), phase(steadyIssuer, rotation.PhaseReplacing, 0, 24*time.Hour),
		}},
		"an incident about it is open": {phase: "rotating", change: incident(30 * time.Hour), want: []rotation.RoleStatus{
			phase(steadyRoot, rotation.PhaseDraining, 0, drained), phase(steadyIssuer, rotation.PhaseReplacing, 0, 30*time.Hour),
		}},
		"an incident with little time leaves a day to revoke": {phase: "rotating", change: incident(time.Hour), want: []rotation.RoleStatus{
			phase(steadyRoot, rotation.PhaseDraining, 0, drained), phase(steadyIssuer, rotation.PhaseReplacing, 0, 24*time.Hour),
		}},
		"of two phases that which is to be over first": {phase: "rotating", change: taint(oldRoot, -2*time.Hour), want: []rotation.RoleStatus{
			phase(steadyRoot, rotation.PhaseReplacing, -2*time.Hour, 24*time.Hour), phase(steadyIssuer, rotation.PhaseDraining, 0, drained),
		}},
	} {
		t.Run(name, func(t *testing.T) {
			gen := phases(t)[tt.phase]
			facts := &store.Facts{Issuers: make(map[string]store.IssuerFacts)}
			if tt.change != nil {
				tt.change(gen, facts)
			}
			if tt.nothing {
				facts = nil
			}
			got, err := rotation.Roles(gen, planPolicy, facts)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("roles (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRolesWithTwoPhases has a tainted and a retiring intermediate: the one that is late first is told.
func TestRolesWithTwoPhases(t *testing.T) {
	for name, tt := range map[string]struct {
		tainted time.Duration // before noon
		want    string
	}{
		"the tainted one is late first":  {time.Hour, rotation.PhaseReplacing},
		"the retiring one is late first": {-time.Hour, rotation.PhaseDraining},
	} {
		t.Run(name, func(t *testing.T) {
			gen := phases(t)["rotating"]
			other := phases(t)["rotating"].Authorities[oldIssuer]
			other.State, other.StateSince = "tainted", planNoon.Add(-tt.tainted)
			gen.Authorities = append(gen.Authorities, other)
			got, err := rotation.Roles(gen, planPolicy, &store.Facts{})
			if err != nil || got[1].Phase != tt.want {
				t.Errorf("%+v, %v, want %s", got, err, tt.want)
			}
		})
	}
}

// TestAHealthyRotationIsNeverLate goes through several roots while leaves of the longest life are issued
// all the time and nobody follows, which is as slow as a rotation can be: no phase is longer than its
// deadline, and no step later than it is due, by more than one tick.
func TestAHealthyRotationIsNeverLate(t *testing.T) {
	const tick = time.Minute
	w := newWorld(1, sabotage{})
	r, err := rotation.NewRotator(rotation.RotatorConfig{Store: w.store, Keys: w.keys, Policy: modelPolicy, Holder: "a"})
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]time.Duration) // the longest of each phase
	last := make(map[string]int)           // serial number of the last leaf of each issuer
	for began := w.now; w.now.Sub(began) < 3*modelPolicy.RootEvery; w.now = w.now.Add(tick) {
		if err := r.Tick(t.Context(), w.now); err != nil {
			t.Fatal(err)
		}
		for _, a := range w.store.gen.Authorities {
			if a.Role == "intermediate" && a.State == "active" {
				if last[a.ID] == 0 {
					last[a.ID] = len(last) + 1
				}
				w.store.records[last[a.ID]] = &modelRecord{issuer: a.ID, notAfter: w.now.Add(modelPolicy.LongestLeaf)}
			}
		}
		facts, err := w.store.Facts(t.Context(), w.now)
		if err != nil {
			t.Fatal(err)
		}
		roles, err := rotation.Roles(w.store.gen, modelPolicy, facts)
		if err != nil {
			t.Fatal(err)
		}
		for _, role := range roles {
			age := w.now.Sub(role.Entered)
			seen[role.Phase] = max(seen[role.Phase], age)
			if role.Deadline > 0 && age > role.Deadline+tick || w.now.Sub(role.Due) > tick {
				t.Fatalf("at %s: %+v", w.now, role)
			}
		}
	}
	for _, phase := range []string{rotation.PhaseSigning, rotation.PhaseSpreading, rotation.PhaseDraining} {
		if seen[phase] < modelPolicy.LongestLeaf {
			t.Errorf("the longest phase %s is %s", phase, seen[phase])
		}
	}
}
