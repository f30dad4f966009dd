package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/store"
)

// NewCRL is a list of an authority: shard of shards, with this number.
func NewCRL(authority string, shard, shards int, number uint64) store.CRL {
	at := Now().Add(time.Duration(number%1000) * time.Hour)
	return store.CRL{
		Authority: authority, Shard: shard, Shards: shards, Number: number,
		ThisUpdate: at, NextUpdate: at.Add(time.Hour), DER: fmt.Appendf(nil, "%s/%d#%d", authority, shard, number),
	}
}

func testCRLs(t *testing.T, a, b Store) {
	ctx := t.Context()
	swap := func(what string, from uint64, next store.CRL, want error) {
		t.Helper()
		wantError(t, what, a.ReplaceCRL(ctx, from, next, store.Fence{}), want)
		if want != nil {
			return
		}
		got, err := b.CRL(ctx, next.Authority, next.Shard)
		must(t, err)
		wantSame(t, what, *got, next)
		number, err := b.CRLNumber(ctx, next.Authority, next.Shard)
		must(t, err)
		wantSame(t, what+": number", number, next.Number)
	}
	_, err := b.CRL(ctx, "i", 0)
	wantError(t, "no list", err, store.ErrNotFound)
	number, err := b.CRLNumber(ctx, "i", 0)
	must(t, err)
	wantSame(t, "number of no list", number, uint64(0))

	swap("a second list before the first", 1, NewCRL("i", 0, 2, 2), store.ErrConflict)
	first := NewCRL("i", 0, 2, 1_700_000_000)
	first.Entries, first.Covers = 7, 1<<40
	swap("the first", 0, first, nil)
	swap("the first again", 0, first, store.ErrConflict)
	swap("one after another one", 1, NewCRL("i", 0, 2, 1<<40), store.ErrConflict)
	swap("the same number", first.Number, first, store.ErrInvalid)
	swap("a number that goes back", first.Number, NewCRL("i", 0, 2, 1), store.ErrInvalid)
	second := NewCRL("i", 0, 3, first.Number+1)
	swap("the second", first.Number, second, nil)
	swap("the other shard", 0, NewCRL("i", 1, 3, 5), nil)
	swap("another authority", 0, NewCRL("a", 1, 3, 5), nil)

	all, err := b.CRLs(ctx)
	must(t, err)
	want := []store.CRL{listed(NewCRL("a", 1, 3, 5)), listed(second), listed(NewCRL("i", 1, 3, 5))}
	wantSame(t, "all lists", all, want)
}

// listed is a list as a listing shows it.
func listed(c store.CRL) store.CRL {
	c.DER = nil
	return c
}

func testCRLFence(t *testing.T, a, b Store) {
	ctx := t.Context()
	old := acquire(t, a, "one", 20*time.Millisecond)
	must(t, a.ReplaceCRL(ctx, 0, NewCRL("i", 0, 1, 1), old.Fence()))
	next := takeOver(t, b, "two")
	wantError(t, "the holder before", a.ReplaceCRL(ctx, 1, NewCRL("i", 0, 1, 2), old.Fence()), store.ErrFenced)
	wantError(t, "its first list of a shard", a.ReplaceCRL(ctx, 0, NewCRL("i", 1, 1, 1), old.Fence()), store.ErrFenced)
	must(t, b.ReplaceCRL(ctx, 1, NewCRL("i", 0, 1, 2), next.Fence()))
	wantError(t, "the holder, too late", b.ReplaceCRL(ctx, 1, NewCRL("i", 0, 1, 3), next.Fence()), store.ErrConflict)
	number, err := a.CRLNumber(ctx, "i", 0)
	must(t, err)
	wantSame(t, "number", number, uint64(2))
}

func testCRLRace(t *testing.T, a, b Store) {
	for from := range uint64(3) {
		var won atomic.Int64
		var wait sync.WaitGroup
		for n := range 10 {
			s := []Store{a, b}[n%2]
			wait.Go(func() {
				err := s.ReplaceCRL(t.Context(), from, NewCRL("i", 0, 1, from+1), store.Fence{})
				if err == nil {
					won.Add(1)
					return
				}
				wantError(t, "loser", err, store.ErrConflict)
			})
		}
		wait.Wait()
		wantSame(t, "winners", won.Load(), int64(1))
	}
}

// revokeIn revokes a certificate of an authority whose serial number belongs to an octet.
func revokeIn(t *testing.T, s Store, issuer string, octet byte, reason int) store.Revocation {
	t.Helper()
	i := by(issuer)
	i.Serial[4] = octet
	mustInsert(t, s, i)
	must(t, s.Revoke(t.Context(), i.Serial, Now(), reason, NewAudit("certificate.revoke", "r")))
	return store.Revocation{Serial: i.Serial, Issuer: issuer, NotAfter: i.NotAfter, RevokedAt: Now(), Reason: reason}
}

// shardOf reads the revocations of a shard, and the highest number among them.
func shardOf(t *testing.T, s Store, q store.ShardQuery) (found map[store.Serial]store.Revocation, last uint64) {
	t.Helper()
	found = make(map[store.Serial]store.Revocation)
	must(t, s.EachRevoked(t.Context(), q, func(r store.Revocation) {
		last = max(last, r.Seq)
		r.Seq = 0
		found[r.Serial] = r
	}))
	return found, last
}

func testCRLChanged(t *testing.T, a, b Store) {
	ctx := t.Context()
	const shards = 3
	changed := func(what string, want ...int) {
		t.Helper()
		all, err := b.CRLs(ctx)
		must(t, err)
		var got []int
		for _, c := range all {
			if c.Changed {
				got = append(got, c.Shard)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: changed shards (-want +got):\n%s", what, diff)
		}
	}
	publish := func(shard int) {
		t.Helper()
		from, err := a.CRLNumber(ctx, "i", shard)
		must(t, err)
		next := NewCRL("i", shard, shards, from+1)
		_, next.Covers = shardOf(t, a, store.ShardQuery{Authority: "i", Shard: shard, Shards: shards})
		must(t, a.ReplaceCRL(ctx, from, next, store.Fence{}))
	}
	revokeIn(t, a, "i", 0, 1)
	changed("nothing is published")
	for shard := range shards {
		publish(shard)
	}
	changed("all is published")
	revokeIn(t, b, "other", 0, 1)
	changed("another authority has changed")
	for _, octet := range []byte{255, 1, 253} { // shards 0, 1 and 1
		revokeIn(t, b, "i", octet, 1)
	}
	changed("two shards have changed", 0, 1)
	publish(1)
	changed("one is left", 0)
	publish(0)
	changed("none is left")
}

func testEachRevoked(t *testing.T, a, b Store) {
	want := make(map[store.Serial]store.Revocation)
	for octet := 0; octet < 256; octet += 5 {
		r := revokeIn(t, a, "i", byte(octet), octet%2)
		want[r.Serial] = r
	}
	revokeIn(t, a, "other", 9, 1)
	for _, shards := range []int{1, 2, 7, 16, 256} {
		got := make(map[store.Serial]store.Revocation)
		var last uint64
		for shard := range shards {
			part, highest := shardOf(t, b, store.ShardQuery{Authority: "i", Shard: shard, Shards: shards})
			last = max(last, highest)
			for serial, r := range part {
				if int(serial[4])%shards != shard {
					t.Errorf("serial number %x is in shard %d of %d", serial, shard, shards)
				}
				got[serial] = r
			}
		}
		wantSame(t, fmt.Sprintf("%d shards", shards), got, want)
		revokeIn(t, a, "other", 9, 1)
		_, other := shardOf(t, b, store.ShardQuery{Authority: "other", Shards: 1})
		if other <= last {
			t.Errorf("a later revocation has number %d, not above %d", other, last)
		}
	}
}

func testPruneCRLs(t *testing.T, a, b Store) {
	ctx := t.Context()
	replace(t, a, withStates(1, map[string]string{"i": "active", "retired": "retired"}))
	for _, authority := range []string{"i", "retired", "gone"} {
		must(t, a.ReplaceCRL(ctx, 0, NewCRL(authority, 0, 1, 1), store.Fence{}))
	}
	must(t, b.Prune(ctx, Now(), Now()))
	all, err := a.CRLs(ctx)
	must(t, err)
	wantSame(t, "lists that are left", all, []store.CRL{listed(NewCRL("i", 0, 1, 1)), listed(NewCRL("retired", 0, 1, 1))})
}
