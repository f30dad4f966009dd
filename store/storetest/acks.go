package storetest

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pando-ca/pando/store"
)

// ack acknowledges a bundle for the holder of a certificate.
func ack(t *testing.T, s store.Acks, sequence uint64, rows ...*store.Issuance) {
	t.Helper()
	var acks []store.Ack
	for _, i := range rows {
		acks = append(acks, store.Ack{Serial: i.Serial, Sequence: sequence, NotAfter: i.NotAfter})
	}
	must(t, s.Acknowledge(t.Context(), acks))
}

// wantFollowers compares who follows, at a moment.
func wantFollowers(t *testing.T, what string, s store.Acks, now time.Time, want map[uint64]int) {
	t.Helper()
	facts, err := s.Facts(t.Context(), now)
	must(t, err)
	wantSame(t, what, facts.Followers, want)
}

// workload inserts a certificate that lives from Now for a while.
func workload(t *testing.T, s store.Inserter, lifetime time.Duration, replaces *store.Issuance) *store.Issuance {
	t.Helper()
	i := NewIssuance("spiffe://example.org/w", Now())
	i.NotAfter = Now().Add(lifetime)
	i.Serial = NewSerial(i.NotAfter)
	if replaces != nil {
		i.Replaces, i.CallerSerial = replaces.Serial, replaces.Serial
	}
	mustInsert(t, s, i)
	return i
}

func testAcks(t *testing.T, a, b Store) {
	now := Now()
	ack(t, a, 1)
	wantFollowers(t, "nobody", b, now, map[uint64]int{})
	w := []*store.Issuance{workload(t, a, time.Hour, nil), workload(t, a, time.Hour, nil), workload(t, a, 30*time.Hour, nil)}
	ack(t, a, 7, w...)
	wantFollowers(t, "all", b, now, map[uint64]int{7: 3})
	ack(t, b, 8, w[0])
	ack(t, a, 6, w[0], w[1])
	ack(t, a, 7, w[2])
	wantFollowers(t, "the highest stands", b, now, map[uint64]int{7: 2, 8: 1})
	must(t, b.Acknowledge(t.Context(), []store.Ack{
		{Serial: w[2].Serial, Sequence: 8, NotAfter: w[2].NotAfter},
		{Serial: w[2].Serial, Sequence: 9, NotAfter: w[2].NotAfter},
		{Serial: w[2].Serial, Sequence: 7, NotAfter: w[2].NotAfter},
	}))
	wantFollowers(t, "the highest of a batch stands", a, now, map[uint64]int{7: 1, 8: 1, 9: 1})
	wantFollowers(t, "just before they expire", a, w[0].NotAfter.Add(-time.Microsecond), map[uint64]int{7: 1, 8: 1, 9: 1})
	wantFollowers(t, "when they expire", a, w[0].NotAfter, map[uint64]int{9: 1})
	facts, err := a.Facts(t.Context(), now)
	must(t, err)
	wantSame(t, "behind 9", facts.Behind(9), 2)
	wantSame(t, "time", facts.At, now)
}

func testAcksOfSuccessors(t *testing.T, a, b Store) {
	now := Now()
	first := workload(t, a, time.Hour, nil)
	second := workload(t, a, 30*time.Hour, first)
	third := workload(t, a, 60*time.Hour, second)
	ack(t, a, 1, first)
	wantFollowers(t, "a successor that is silent", b, now, map[uint64]int{1: 1})
	ack(t, a, 2, second)
	wantFollowers(t, "a successor", b, now, map[uint64]int{2: 1})
	ack(t, b, 3, first)
	wantFollowers(t, "one that is late", a, now, map[uint64]int{2: 1})
	ack(t, b, 3, second, third, first)
	wantFollowers(t, "all in one batch", a, now, map[uint64]int{3: 1})
	ack(t, b, 4, second, first)
	wantFollowers(t, "all that are late", a, now, map[uint64]int{3: 1})

	// The successor is first in its order and second in its day; the one before never follows.
	old := workload(t, a, 30*time.Hour, nil)
	next, twin := workload(t, a, time.Hour, old), workload(t, a, time.Hour, old)
	ack(t, a, 5, next, twin)
	wantFollowers(t, "two successors", b, now, map[uint64]int{3: 1, 5: 2})
	ack(t, a, 5, old)
	wantFollowers(t, "the one before them", b, now, map[uint64]int{3: 1, 5: 2})
	wantFollowers(t, "and when they have expired", b, now.Add(2*time.Hour), map[uint64]int{3: 1})
}

func testAcksRace(t *testing.T, a, b Store) {
	const workloads, rounds = 100, 5
	var all []*store.Issuance
	for range workloads {
		old := workload(t, a, time.Hour, nil)
		all = append(all, old, workload(t, a, 2*time.Hour, old))
	}
	var wait sync.WaitGroup
	for n := range 4 {
		s, mine := []Store{a, b}[n%2], slices.Clone(all)
		rand.Shuffle(len(mine), func(x, y int) { mine[x], mine[y] = mine[y], mine[x] }) //nolint:gosec // an order for a test
		wait.Go(func() {
			for round := range uint64(rounds) {
				var acks []store.Ack
				for _, i := range mine {
					acks = append(acks, store.Ack{Serial: i.Serial, Sequence: round*4 + uint64(n), NotAfter: i.NotAfter})
				}
				if err := s.Acknowledge(t.Context(), acks); err != nil {
					t.Errorf("Acknowledge: %v", err)
				}
			}
		})
	}
	wait.Wait()
	wantFollowers(t, "in the end", a, Now(), map[uint64]int{rounds*4 - 1: workloads})
}

func testAcksOfRevoked(t *testing.T, a, b Store) {
	ctx, now := t.Context(), Now()
	first, second := workload(t, a, time.Hour, nil), workload(t, a, time.Hour, nil)
	ack(t, a, 1, first)
	for _, i := range []*store.Issuance{first, second} {
		must(t, b.Revoke(ctx, i.Serial, now, 1, NewAudit("certificate.revoke", "r")))
	}
	wantFollowers(t, "revoked after it acknowledged", a, now, map[uint64]int{})
	ack(t, a, 2, first, second)
	wantFollowers(t, "acknowledged after it was revoked", b, now, map[uint64]int{})

	for range 10 { // and both at once
		i := workload(t, a, time.Hour, nil)
		var wait sync.WaitGroup
		wait.Go(func() {
			if err := a.Acknowledge(ctx, []store.Ack{{Serial: i.Serial, Sequence: 3, NotAfter: i.NotAfter}}); err != nil {
				t.Errorf("Acknowledge: %v", err)
			}
		})
		wait.Go(func() {
			if err := b.Revoke(ctx, i.Serial, now, 1, NewAudit("certificate.revoke", "r")); err != nil {
				t.Errorf("Revoke: %v", err)
			}
		})
		wait.Wait()
	}
	wantFollowers(t, "acknowledged and revoked at once", b, now, map[uint64]int{})
}

func testPruneAcks(t *testing.T, a, b Store) {
	now := Now()
	short, long := workload(t, a, time.Hour, nil), workload(t, a, 100*time.Hour, nil)
	next := workload(t, a, 100*time.Hour, long)
	ack(t, a, 1, short, long, next)
	wantFollowers(t, "before", b, now, map[uint64]int{1: 2})
	must(t, a.Prune(t.Context(), now, now))
	wantFollowers(t, "before any has expired", b, now, map[uint64]int{1: 2})
	must(t, a.Prune(t.Context(), now.Add(3*time.Hour), now))
	wantFollowers(t, "a long time after one has expired", b, now, map[uint64]int{1: 1})
	ack(t, a, 2, long)
	wantFollowers(t, "late, after pruning", b, now, map[uint64]int{1: 1})
}

func testFacts(t *testing.T, a, b Store) {
	ctx, now := t.Context(), Now()
	facts, err := a.Facts(ctx, now)
	must(t, err)
	wantSame(t, "of nothing", facts, &store.Facts{At: now, Issuers: map[string]store.IssuerFacts{}, Followers: map[uint64]int{}})

	row := func(issuer string, notAfter time.Time) *store.Issuance {
		i := by(issuer)
		i.NotAfter = notAfter
		i.Serial = NewSerial(notAfter)
		mustInsert(t, a, i)
		return i
	}
	revoke := func(i *store.Issuance) {
		must(t, a.Revoke(ctx, i.Serial, now, 1, NewAudit("certificate.revoke", "r")))
	}
	const day = 24 * time.Hour
	row("expired", now)
	row("expired", now.Add(-3*day))
	row("mixed", now.Add(-time.Microsecond))
	row("mixed", now.Add(time.Microsecond))
	row("mixed", now.Add(2*day))
	revoke(row("mixed", now.Add(3*day)))
	revoke(row("mixed", now.Add(-time.Hour)))
	revoke(row("revoked", now.Add(day)))
	revoke(row("revoked", now.Add(2*day)))
	row("a long one", now.Add(500*day))
	facts, err = b.Facts(ctx, now)
	must(t, err)
	wantSame(t, "issuers", facts.Issuers, map[string]store.IssuerFacts{
		"mixed":      {Live: 2, Unexpired: 3, NotAfter: now.Add(3 * day)},
		"revoked":    {Live: 0, Unexpired: 2, NotAfter: now.Add(2 * day)},
		"a long one": {Live: 1, Unexpired: 1, NotAfter: now.Add(500 * day)},
	})
	must(t, a.Prune(ctx, now.Add(day), now.Add(day)))
	facts, err = b.Facts(ctx, now.Add(2*day-time.Microsecond))
	must(t, err)
	wantSame(t, "issuers, later", facts.Issuers, map[string]store.IssuerFacts{
		"mixed":      {Live: 1, Unexpired: 2, NotAfter: now.Add(3 * day)},
		"revoked":    {Live: 0, Unexpired: 1, NotAfter: now.Add(2 * day)},
		"a long one": {Live: 1, Unexpired: 1, NotAfter: now.Add(500 * day)},
	})
}

// counted is what testFactsModel remembers of a certificate.
type counted struct {
	*store.Issuance
	revoked, succeeded bool
	acknowledged       uint64 // 0: never
}

// testFactsModel renews, acknowledges and revokes at random, and compares the facts with those
// of a loop over everything.
func testFactsModel(t *testing.T, a, b Store) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same history each time
	var all []*counted
	for range 60 {
		i := by([]string{"i1", "i2", "i3"}[random.IntN(3)])
		i.NotAfter = Now().Add(time.Duration(random.IntN(60)-20) * time.Hour)
		i.Serial = NewSerial(i.NotAfter)
		if len(all) > 0 && random.IntN(2) == 0 {
			i.Replaces = all[random.IntN(len(all))].Serial
		}
		mustInsert(t, a, i)
		all = append(all, &counted{Issuance: i})
	}
	bySerial := make(map[store.Serial]*counted)
	for _, c := range all {
		bySerial[c.Serial] = c
	}
	for sequence := range uint64(30) {
		var acks []store.Ack
		for range random.IntN(6) {
			c := all[random.IntN(len(all))]
			c.acknowledged = sequence + 1
			acks = append(acks, store.Ack{Serial: c.Serial, Sequence: sequence + 1, NotAfter: c.NotAfter})
			if old := bySerial[c.Replaces]; old != nil {
				old.succeeded = true
			}
		}
		must(t, a.Acknowledge(t.Context(), acks))
		if random.IntN(3) == 0 {
			c := all[random.IntN(len(all))]
			c.revoked = true
			must(t, b.Revoke(t.Context(), c.Serial, Now(), 1, NewAudit("certificate.revoke", "r")))
		}
		now := Now().Add(time.Duration(random.IntN(60)-20) * time.Hour)
		facts, err := b.Facts(t.Context(), now)
		must(t, err)
		wantSame(t, "facts", facts, slowFacts(all, now))
	}
}

func slowFacts(all []*counted, now time.Time) *store.Facts {
	facts := &store.Facts{At: now, Issuers: make(map[string]store.IssuerFacts), Followers: make(map[uint64]int)}
	for _, c := range all {
		if !c.NotAfter.After(now) {
			continue
		}
		of := facts.Issuers[c.Issuer]
		of.Unexpired++
		if !c.revoked {
			of.Live++
		}
		if c.NotAfter.After(of.NotAfter) {
			of.NotAfter = c.NotAfter
		}
		facts.Issuers[c.Issuer] = of
		if c.acknowledged != 0 && !c.succeeded && !c.revoked {
			facts.Followers[c.acknowledged]++
		}
	}
	return facts
}
