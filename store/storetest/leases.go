package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pando-ca/pando/store"
)

// acquire takes a lease that nobody else has.
func acquire(t *testing.T, s store.Leases, holder string, ttl time.Duration) store.Lease {
	t.Helper()
	l, err := s.AcquireLease(t.Context(), "rotation", holder, ttl)
	must(t, err)
	if l.Name != "rotation" || l.Holder != holder || l.Term == 0 {
		t.Errorf("lease %+v, want that of %s", l, holder)
	}
	return l
}

// takeOver takes a lease as soon as it runs out.
func takeOver(t *testing.T, s store.Leases, holder string) store.Lease {
	t.Helper()
	for {
		l, err := s.AcquireLease(t.Context(), "rotation", holder, time.Hour)
		if err == nil {
			return l
		}
		if !errors.Is(err, store.ErrConflict) {
			t.Fatal(err)
		}
	}
}

func testLease(t *testing.T, a, b Store) {
	ctx := t.Context()
	refused := func(what, holder string) {
		t.Helper()
		_, err := b.AcquireLease(ctx, "rotation", holder, time.Hour)
		wantError(t, what, err, store.ErrConflict)
	}
	first := acquire(t, a, "one", time.Minute)
	if left := time.Until(first.ExpiresAt); left < 50*time.Second || left > 70*time.Second {
		t.Errorf("the lease ends in %v, want a minute", left) // one machine: the clocks agree
	}
	refused("another holder", "two")
	longer := acquire(t, a, "one", time.Hour)
	wantSame(t, "term when prolonged", longer.Term, first.Term)
	if !longer.ExpiresAt.After(first.ExpiresAt.Add(30 * time.Minute)) {
		t.Errorf("prolonged from %v to %v, want an hour", first.ExpiresAt, longer.ExpiresAt)
	}
	other, err := b.AcquireLease(ctx, "another", "two", time.Hour)
	must(t, err)
	wantSame(t, "term of another lease", other.Term, uint64(1))

	must(t, b.ReleaseLease(ctx, store.Lease{Name: "rotation", Holder: "two", Term: first.Term}))
	must(t, b.ReleaseLease(ctx, store.Lease{Name: "rotation", Holder: "one", Term: first.Term + 1}))
	refused("after others have released it", "two")
	must(t, a.ReleaseLease(ctx, first))
	second := acquire(t, b, "two", time.Hour)
	wantSame(t, "term of the next holder", second.Term, first.Term+1)
	must(t, a.ReleaseLease(ctx, first))
	refused("after it was released twice", "one")
	must(t, b.ReleaseLease(ctx, second))
	again := acquire(t, b, "two", time.Hour)
	wantSame(t, "term of the same holder, after a release", again.Term, second.Term+1)

	for _, ttl := range []time.Duration{0, -time.Second} {
		_, err := a.AcquireLease(ctx, "rotation", "two", ttl)
		wantError(t, ttl.String(), err, store.ErrInvalid)
	}
}

func testLeaseExpires(t *testing.T, a, b Store) {
	first := acquire(t, a, "one", 20*time.Millisecond)
	second := takeOver(t, b, "two")
	wantSame(t, "term of the next holder", second.Term, first.Term+1)
	_, err := a.AcquireLease(t.Context(), "rotation", "one", time.Hour)
	wantError(t, "the one that was too late", err, store.ErrConflict)
	must(t, a.ReleaseLease(t.Context(), first))
	_, err = a.AcquireLease(t.Context(), "rotation", "one", time.Hour)
	wantError(t, "after it has released what it no longer had", err, store.ErrConflict)

	// A holder that let its own lease run out has a new one: another may have had it between.
	must(t, b.ReleaseLease(t.Context(), second))
	third := acquire(t, b, "two", time.Microsecond)
	for {
		fourth := acquire(t, b, "two", time.Microsecond)
		if fourth.Term > third.Term {
			return
		}
	}
}

func testLeaseRace(t *testing.T, a, b Store) {
	var last store.Lease
	for round := range 5 {
		leases := make([]store.Lease, 20)
		var wait sync.WaitGroup
		for n := range leases {
			s := []Store{a, b}[n%2]
			wait.Go(func() {
				var err error
				leases[n], err = s.AcquireLease(t.Context(), "rotation", fmt.Sprint("h", n), time.Hour)
				if err != nil {
					wantError(t, "loser", err, store.ErrConflict)
				}
			})
		}
		wait.Wait()
		var won []store.Lease
		for _, l := range leases {
			if l.Term != 0 {
				won = append(won, l)
			}
		}
		if len(won) != 1 {
			t.Fatalf("round %d: %d holders, want 1", round, len(won))
		}
		wantSame(t, "term", won[0].Term, last.Term+1)
		last = won[0]
		must(t, b.ReleaseLease(t.Context(), last))
	}
}

func testFence(t *testing.T, a, b Store) {
	ctx, audit := t.Context(), NewAudit("authority.activate", "i")
	old := acquire(t, a, "one", 20*time.Millisecond)
	must(t, a.ReplaceGeneration(ctx, 0, newGeneration(1), old.Fence(), audit))
	next := takeOver(t, b, "two")
	for what, fence := range map[string]store.Fence{
		"the holder before":  old.Fence(),
		"a term that is not": {Lease: "rotation", Term: next.Term + 1},
		"no such lease":      {Lease: "none", Term: 1},
		"a term of no lease": {Term: next.Term},
		"a lease of no term": {Lease: "rotation"},
	} {
		wantError(t, what, a.ReplaceGeneration(ctx, 1, newGeneration(2), fence, audit), store.ErrFenced)
	}
	wantNumber(t, b, 1)
	must(t, b.ReplaceGeneration(ctx, 1, newGeneration(2, "x"), next.Fence(), audit))
	wantError(t, "the holder, too late", b.ReplaceGeneration(ctx, 1, newGeneration(2), next.Fence(), audit), store.ErrConflict)
	must(t, a.ReplaceGeneration(ctx, 2, newGeneration(3), store.Fence{}, audit))
	audits, err := a.Audits(ctx, store.AuditFilter{Limit: 10})
	must(t, err)
	wantSame(t, "audit rows", len(audits), 3)
}

// testFenceRace lets two holders fight for a lease that hardly lasts while each writes under
// what it has: the terms of the writes that succeeded never go back.
func testFenceRace(t *testing.T, a, b Store) {
	ctx := t.Context()
	must(t, a.ReplaceGeneration(ctx, 0, newGeneration(1), store.Fence{}))
	const writes = 20
	var wait sync.WaitGroup
	for holder, s := range map[string]Store{"one": a, "two": b} {
		wait.Go(func() {
			for {
				lease, err := s.AcquireLease(ctx, "rotation", holder, 3*time.Millisecond)
				if errors.Is(err, store.ErrConflict) {
					continue
				}
				for err == nil {
					var from uint64
					if from, err = s.GenerationNumber(ctx); err != nil || from > writes {
						break
					}
					next := newGeneration(from + 1)
					next.Sequence = lease.Term
					err = s.ReplaceGeneration(ctx, from, next, lease.Fence(), NewAudit("authority.activate", fmt.Sprint(lease.Term)))
				}
				if err == nil {
					return
				}
				if !errors.Is(err, store.ErrFenced) && !errors.Is(err, store.ErrConflict) {
					t.Errorf("%s: %v", holder, err)
					return
				}
			}
		})
	}
	wait.Wait()
	audits, err := a.Audits(ctx, store.AuditFilter{Limit: 1000})
	must(t, err)
	wantSame(t, "writes", len(audits), writes)
	var term uint64
	for at := range audits {
		var of uint64
		if _, err := fmt.Sscan(audits[len(audits)-1-at].Target, &of); err != nil {
			t.Fatal(err)
		}
		if of < term {
			t.Errorf("a write of term %d after one of term %d", of, term)
		}
		term = of
	}
}
