package rotation_test

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// modelSteps is about two days of a history, in which a root lives for five hours.
const modelSteps = 4000

// traceShown is how much of a history is told when it goes wrong.
const traceShown = 40

// TestRotationKeepsEveryHandshake lives through long histories of two replicas that rotate, whose
// processes die or are stopped anywhere, whose clocks differ, and of clients that follow, are
// slow, away or never follow. See world.check for what must hold after each step.
func TestRotationKeepsEveryHandshake(t *testing.T) {
	seen := make(map[string]int)
	seeds := []uint64{1, 2, 3, 4, 5, 6, 7, 8, rand.Uint64()}
	for _, seed := range seeds {
		w := newWorld(seed, sabotage{})
		began := w.now
		if err := w.run(modelSteps); err != nil {
			t.Fatalf("seed %d, step after %s: %v\n%s", seed, w.now.Sub(began), err, w.story())
		}
		for what, times := range w.seen {
			if seen[what] += times; what == "most authorities" {
				seen[what] = max(seen[what]-times, times)
			}
		}
		// A cycle is at least RootEvery; clocks, crashes and gates make it longer, not twice as long.
		if want := int(w.now.Sub(began) / (2 * modelPolicy.RootEvery)); w.seen["authority.activate root"] < want {
			t.Errorf("seed %d: %d roots were activated in %s, want %d at least", seed, w.seen["authority.activate root"], w.now.Sub(began), want)
		}
	}
	for _, what := range []string{
		"authority.prepare root", "authority.activate root", "authority.supersede root", "authority.retire root", "authority.drop root",
		"authority.activate intermediate", "authority.retire intermediate", "authority.drop intermediate",
		"activate-root because all", "activate-root because every", "issuer inactive",
		"ReplaceGeneration fails", "ReplaceGeneration fails, but happens", "ReplaceGeneration is held up",
	} {
		if seen[what] == 0 {
			t.Errorf("in no history: %s", what)
		}
	}
	t.Logf("seen: %v", seen)
}

// TestWhoeverIntervenesKeepsEveryHandshake lives through the same histories while somebody prepares,
// rotates, activates, taints and revokes whatever there is, at any moment. Who is cut off by force
// is known; nobody else is.
func TestWhoeverIntervenesKeepsEveryHandshake(t *testing.T) {
	seen := make(map[string]int)
	for _, seed := range []uint64{11, 12, 13, 14, 15, 16, 17, 18, rand.Uint64()} {
		w := newWorld(seed, sabotage{})
		w.hands = true
		began := w.now
		if err := w.run(modelSteps); err != nil {
			t.Fatalf("seed %d, step after %s: %v\n%s", seed, w.now.Sub(began), err, w.story())
		}
		for what, times := range w.seen {
			seen[what] += times
		}
		for _, i := range w.store.gen.Incidents {
			if w.now.Sub(i.Deadline) > modelPolicy.LongestLeaf+2*modelPolicy.Skew {
				t.Errorf("seed %d: incident %+v is open at %s", seed, i, w.now)
			}
		}
	}
	for _, what := range []string{
		"by hand: prepare-root", "by hand: rotate-intermediate", "by hand: activate-root", "by hand: taint", "by hand: revoke", "by hand: reissue",
		"authority.taint root", "authority.taint intermediate", "authority.revoke root", "authority.revoke intermediate", "incident.declare ",
		"incident.close ", "close-incident because nobody", "cut off", "taint is refused", "revoke is refused", "activate is refused",
		"prepare is refused", "renewal moved by an incident", "Dependents fails",
	} {
		if seen[what] == 0 {
			t.Errorf("in no history: %s", what)
		}
	}
	t.Logf("seen: %v", seen)
}

// TestInvariantCanFail breaks one rule at a time: the checks above notice.
func TestInvariantCanFail(t *testing.T) {
	for name, tt := range map[string]struct {
		sabotage
		want string
	}{
		"a root is activated before it is known": {sabotage{hasty: true}, "without the cross-certificate: true"},
		"an authority retires with leaves left":  {sabotage{forgets: true}, "refuses a leaf"},
		"chains carry no cross-certificate":      {sabotage{blunt: true}, "without the cross-certificate: false"},
		"what is revoked is still depended on":   {sabotage{ignores: true}, "is cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			for seed := uint64(1); seed <= 8 && err == nil; seed++ {
				w := newWorld(seed, tt.sabotage)
				w.hands = tt.ignores
				err = w.run(modelSteps)
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the invariant says %v, want %q", err, tt.want)
			}
		})
	}
}

// story is the end of the trace.
func (w *world) story() string {
	return strings.Join(w.trace[max(0, len(w.trace)-traceShown):], "\n")
}
