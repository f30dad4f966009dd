package rotation_test

import (
	"maps"
	"slices"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/store"
)

// check is the invariant, in two parts. Every unexpired leaf verifies, with the chain that it was
// handed out with, under every bundle that a live client holds or would be given now. And who
// follows needs no cross-certificate for that: a root is known before it is used.
func (w *world) check() {
	w.leaves = slices.DeleteFunc(w.leaves, func(l modelLeaf) bool { return !l.notAfter.After(w.now) })
	chains := make(map[*modelChain]bool)
	for _, l := range w.leaves {
		chains[l.chain] = true
	}
	held, followed := w.held()
	for chain := range chains {
		for sequence, who := range held {
			w.verify(question{chain, sequence, false}, who)
		}
		for sequence, who := range followed {
			if sequence >= w.hurried[chain.root] { // who is behind has the cross-certificate only
				w.verify(question{chain, sequence, true}, who)
			}
		}
	}
}

// held are the bundles of live clients, and of those that follow, by sequence; and who has them.
func (w *world) held() (held, followed map[uint64]string) {
	held, followed = make(map[uint64]string), make(map[uint64]string)
	for _, r := range w.replicas {
		held[w.views[r.sees].Sequence()] = "a newcomer"
	}
	for _, c := range w.clients {
		if !c.notAfter.After(w.now) {
			continue
		}
		held[c.sequence] = c.name
		if w.store.follows(c.serial, w.now) {
			followed[c.sequence] = c.name
		}
	}
	return held, followed
}

func (w *world) verify(q question, who string) {
	err := w.verifier.verify(q, w.bundles[q.sequence], w.now)
	if err != nil {
		w.violated("%s, with bundle %d, refuses a leaf of %s (without the cross-certificate: %t): %v",
			who, q.sequence, ca.AuthorityID(q.chain.above[0]), q.direct, err)
	}
}

// checkGeneration is what holds of every generation, and between one and the next.
func (w *world) checkGeneration(before, next *store.Generation) {
	count := make(map[string]int)
	keys := make(map[string]bool)
	for _, a := range next.Authorities {
		count[a.Role+" "+a.State]++
		if gone := a.State == string(ca.StateRetired) || a.State == string(ca.StateRevoked); gone != (len(a.Key) == 0) {
			w.violated("%s %s %s: key of %d octets", a.State, a.Role, a.ID, len(a.Key))
		}
		if len(a.Key) > 0 && keys[string(a.Key)] {
			w.violated("two authorities have key %s", a.Key)
		}
		keys[string(a.Key)] = true
	}
	if count["root active"] != 1 || count["intermediate active"] != 1 || count["root prepared"] > 1 || count["root retiring"] > 1 && w.byHand == 0 {
		w.violated("generation %d has %v", next.Number, count)
	}
	if got, most := len(next.Authorities), mostAuthorities(modelPolicy)+2*w.byHand; got > most {
		w.violated("generation %d has %d authorities, want at most %d", next.Number, got, most)
	}
	w.seen["most authorities"] = max(w.seen["most authorities"], len(next.Authorities))
	old, roots := modelRoots(before), modelRoots(next)
	if changed := !maps.Equal(old, roots); changed != (next.Sequence == before.Sequence+1) || !changed && !next.PublishedAt.Equal(before.PublishedAt) || next.Sequence > before.Sequence+1 {
		w.violated("sequence goes from %d to %d, roots from %v to %v", before.Sequence, next.Sequence, old, roots)
	}
	if diff := cmp.Diff(before.WindowKey, next.WindowKey); diff != "" {
		w.violated("window key changes")
	}
}

// mostAuthorities bounds the rows: what is replaced within one lifetime, and what is in transit.
// An intermediate is made when it is time for one, and with each root.
func mostAuthorities(p rotation.Policy) int {
	roots := int((p.RootLifetime+p.Skew)/p.RootEvery) + 2
	intermediates := int((p.IntermediateLifetime+p.Skew)/p.IntermediateEvery) + int((p.IntermediateLifetime+p.Skew)/p.RootEvery) + 3
	return roots + intermediates
}

func modelRoots(gen *store.Generation) map[string]bool {
	roots := make(map[string]bool)
	for _, a := range gen.Authorities {
		switch ca.State(a.State) {
		case ca.StatePrepared, ca.StateActive, ca.StateRetiring, ca.StateTainted:
			if a.Role == string(ca.RoleRoot) {
				roots[a.ID] = true
			}
		}
	}
	return roots
}
