package storetest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pando-ca/pando/store"
)

// fleet inserts certificates of six SPIFFE IDs, which expire over four days, and revokes some.
// One SPIFFE ID is the beginning of another.
func fleet(t *testing.T, s Store) []*store.Issuance {
	t.Helper()
	var all []*store.Issuance
	for n := range 60 {
		i := NewIssuance(fmt.Sprintf("spiffe://example.org/%s", []string{"a", "a/b", "a0", "ab", "b", "c"}[n%6]), Now())
		i.IssuedAt = Now().Add(-time.Duration(n) * 3 * time.Second)
		i.NotAfter = Now().Add(time.Duration(n-30) * 97 * time.Minute)
		i.NotBefore = i.NotAfter.Add(-time.Duration(1+n%5) * time.Hour)
		i.Serial = NewSerial(i.NotAfter)
		i.Profile, i.Issuer = []string{"workload", "server"}[n%2], fmt.Sprintf("i%d", n%3)
		i.KeyHash = [32]byte{byte(n % 4)}
		all = append(all, i)
	}
	mustInsert(t, s, all...)
	for _, n := range []int{12, 40, 47, 55, 58} {
		must(t, s.Revoke(t.Context(), all[n].Serial, Now(), 1, NewAudit("certificate.revoke", "r")))
		all[n].Revoked = &store.Revocation{Serial: all[n].Serial, Issuer: all[n].Issuer, NotAfter: all[n].NotAfter, RevokedAt: Now(), Reason: 1}
	}
	return all
}

func testIdentities(t *testing.T, a, b Store) {
	all := fleet(t, a)
	for _, since := range []int{-1000, -30, -5, 0, 20, 42, 47, 1000} {
		endsAfter := Now().Add(time.Duration(since) * time.Hour)
		newest := make(map[string]*store.Issuance)
		for _, i := range all {
			if old := newest[i.SPIFFEID]; old == nil || i.NotAfter.After(old.NotAfter) {
				newest[i.SPIFFEID] = i
			}
		}
		var want []store.Identity
		for _, i := range newest {
			if i.NotAfter.After(endsAfter) {
				want = append(want, store.Identity{
					SPIFFEID: i.SPIFFEID, Serial: i.Serial, Profile: i.Profile, Issuer: i.Issuer,
					NotBefore: i.NotBefore, NotAfter: i.NotAfter, Revoked: i.Revoked != nil,
				})
			}
		}
		slices.SortFunc(want, func(x, y store.Identity) int { return cmp.Compare(x.SPIFFEID, y.SPIFFEID) })
		for _, size := range []int{1, 4, 1000} {
			var got []store.Identity
			filter := store.IdentityFilter{EndsAfter: endsAfter, Limit: size}
			for {
				page, err := b.Identities(t.Context(), filter)
				must(t, err)
				got = append(got, page...)
				if len(page) < size {
					break
				}
				filter.After = page[len(page)-1].SPIFFEID
			}
			wantSame(t, fmt.Sprintf("identities that end after %s, %d at a time", endsAfter, size), got, want)
		}
	}
}

func testLiveCounts(t *testing.T, a, b Store) {
	all := fleet(t, a)
	for _, hours := range []int{-1000, -7, 0, 40, 1000} {
		now := Now().Add(time.Duration(hours) * time.Hour)
		counts, issued := make(map[store.LiveCount]int), make(map[store.LiveCount]int)
		for _, i := range all {
			if i.Revoked == nil && i.NotAfter.After(now) {
				counts[store.LiveCount{Profile: i.Profile, Issuer: i.Issuer}]++
				if i.IssuedAt.After(now.Add(-store.RecentlyIssued)) && !i.IssuedAt.After(now) {
					issued[store.LiveCount{Profile: i.Profile, Issuer: i.Issuer}]++
				}
			}
		}
		var want []store.LiveCount
		for c, n := range counts {
			c.Certificates, c.Issued = n, issued[c]
			want = append(want, c)
		}
		slices.SortFunc(want, func(x, y store.LiveCount) int {
			return cmp.Or(cmp.Compare(x.Profile, y.Profile), cmp.Compare(x.Issuer, y.Issuer))
		})
		got, err := b.LiveCounts(t.Context(), now)
		must(t, err)
		if len(got) == 0 {
			got = nil
		}
		wantSame(t, fmt.Sprintf("live at %s", now), got, want)
	}
}

func testWatched(t *testing.T, a, b Store) {
	ctx := t.Context()
	all := fleet(t, a)
	for n, name := range []string{"a", "a/b", "b", "b", "c", "gone", "a0"} {
		e := NewEntry(fmt.Sprintf("e%d", n), "spiffe://example.org/"+name)
		e.Watch = name != "a0" // two entries for b
		must(t, a.CreateEntry(ctx, e, NewAudit("entry.create", e.ID)))
	}
	for name, test := range map[string]struct {
		hours, limit int
		of           []string
	}{
		"all that live":        {0, 9, []string{"a", "a/b", "b", "c"}},
		"long after the start": {44, 9, []string{"b", "c"}},
		"a part":               {-1000, 2, []string{"a", "a/b"}},
		"after the end":        {1000, 9, nil},
	} {
		endsAfter := Now().Add(time.Duration(test.hours) * time.Hour)
		var want []store.Identity
		for _, name := range test.of {
			var newest *store.Issuance
			for _, i := range all {
				if i.SPIFFEID == "spiffe://example.org/"+name && (newest == nil || i.NotAfter.After(newest.NotAfter)) {
					newest = i
				}
			}
			want = append(want, store.Identity{
				SPIFFEID: newest.SPIFFEID, Serial: newest.Serial, Profile: newest.Profile, Issuer: newest.Issuer,
				NotBefore: newest.NotBefore, NotAfter: newest.NotAfter, Revoked: newest.Revoked != nil,
			})
		}
		got, err := b.Watched(ctx, endsAfter, test.limit)
		must(t, err)
		if len(got) == 0 {
			got = nil
		}
		wantSame(t, name, got, want)
	}
	must(t, b.DeleteEntry(ctx, "e0", NewAudit("entry.delete", "e0")))
	got, err := a.Watched(ctx, Now(), 9)
	must(t, err)
	wantSame(t, "watched once an entry is gone", len(got), 3)
}

func testHoldings(t *testing.T, a, b Store) {
	all := fleet(t, a)
	must(t, a.Collect(t.Context(), all[50].Serial))
	must(t, b.Collect(t.Context(), all[50].Serial))
	// Several of one moment, so that a page can end between them.
	for range 5 {
		i := NewIssuance("spiffe://example.org/a", Now())
		mustInsert(t, a, i)
		all = append(all, i)
	}
	for name, span := range map[string][2]string{
		"everything":        {"spiffe://example.org/", "spiffe://example.org/~"},
		"one SPIFFE ID":     {"spiffe://example.org/a", "spiffe://example.org/a"},
		"what lies below":   {"spiffe://example.org/a/", "spiffe://example.org/a/~"},
		"an empty range":    {"spiffe://example.org/b0", "spiffe://example.org/b9"},
		"a range backwards": {"spiffe://example.org/c", "spiffe://example.org/a"},
	} {
		var want []store.Holding
		for n, i := range all {
			if span[0] <= i.SPIFFEID && i.SPIFFEID <= span[1] && i.NotAfter.After(Now()) {
				want = append(want, store.Holding{Record: i.Record, Collected: n == 50})
			}
		}
		slices.SortFunc(want, func(x, y store.Holding) int {
			return cmp.Or(cmp.Compare(x.SPIFFEID, y.SPIFFEID), x.NotAfter.Compare(y.NotAfter), slices.Compare(x.Serial[:], y.Serial[:]))
		})
		for _, size := range []int{1, 7, 1000} {
			var got []store.Holding
			filter := store.HoldingFilter{First: span[0], Last: span[1], Now: Now(), Limit: size}
			for {
				page, err := b.Holdings(t.Context(), filter)
				must(t, err)
				got = append(got, page...)
				if len(page) < size {
					break
				}
				last := page[len(page)-1]
				filter.First, filter.After = last.SPIFFEID, store.Cursor{NotAfter: last.NotAfter, Serial: last.Serial}
			}
			wantSame(t, fmt.Sprintf("%s, %d at a time", name, size), got, want)
		}
	}
}

func testNewest(t *testing.T, a, b Store) {
	ctx := t.Context()
	key, other := [32]byte{1}, [32]byte{2}
	held := func(id string, key [32]byte, lifetime time.Duration) *store.Issuance {
		i := NewIssuance(id, Now())
		i.KeyHash, i.NotAfter = key, Now().Add(lifetime)
		i.Serial = NewSerial(i.NotAfter)
		mustInsert(t, a, i)
		return i
	}
	const id = "spiffe://example.org/w"
	old, next, last := held(id, key, time.Hour), held(id, key, 30*time.Hour), held(id, key, 60*time.Hour)
	held(id, other, 90*time.Hour)
	held(id+"/x", key, 90*time.Hour)
	want := func(what string, now time.Time, collected bool, row *store.Issuance) {
		t.Helper()
		got, err := b.Newest(ctx, id, key, now)
		must(t, err)
		wantSame(t, what, *got, store.Holding{Record: row.Record, Collected: collected})
	}
	want("of three", Now(), false, last)
	short := NewIssuance(id, Now())
	short.KeyHash, short.IssuedAt, short.NotAfter = key, Now().Add(time.Second), Now().Add(time.Minute)
	short.Serial = NewSerial(short.NotAfter)
	mustInsert(t, a, short)
	want("one that was issued later, and ends before its predecessor", Now(), false, short)
	must(t, a.Revoke(ctx, short.Serial, Now(), 4, NewAudit("certificate.revoke", "r")))
	must(t, a.Collect(ctx, last.Serial))
	want("once it is collected", Now(), true, last)
	must(t, a.Revoke(ctx, last.Serial, Now(), 1, NewAudit("certificate.revoke", "r")))
	want("of those that are not revoked", Now(), false, next)
	want("when the oldest has expired", old.NotAfter, false, next)
	_, err := b.Newest(ctx, id, key, next.NotAfter)
	wantError(t, "when all have expired", err, store.ErrNotFound)
	_, err = b.Newest(ctx, id, [32]byte{3}, Now())
	wantError(t, "of a key without certificates", err, store.ErrNotFound)
}

func testPruneCollected(t *testing.T, a, b Store) {
	ctx := t.Context()
	row := NewIssuance("spiffe://example.org/w", Now())
	mustInsert(t, a, row)
	must(t, a.Collect(ctx, row.Serial))
	collected := func() bool {
		h, err := b.Newest(ctx, row.SPIFFEID, row.KeyHash, Now())
		must(t, err)
		return h.Collected
	}
	must(t, a.Prune(ctx, row.NotAfter.Add(59*time.Minute), Now()))
	wantSame(t, "collected, within the hour", collected(), true)
	must(t, a.Prune(ctx, row.NotAfter.Add(61*time.Minute), Now()))
	wantSame(t, "collected, an hour past its end", collected(), false)
}

func testFigures(t *testing.T, a, b Store) {
	ctx := t.Context()
	_, _, err := a.Figures(ctx)
	wantError(t, "before the first", err, store.ErrNotFound)
	lease, err := a.AcquireLease(ctx, "figures", "one", time.Minute)
	must(t, err)
	for _, n := range []int{1, 2} {
		must(t, a.SaveFigures(ctx, fmt.Appendf(nil, `{"n":%d}`, n), lease.Fence()))
		data, age, err := b.Figures(ctx)
		must(t, err)
		var got struct{ N int }
		must(t, json.Unmarshal(data, &got))
		wantSame(t, "figures", got.N, n)
		if age < 0 || age > time.Minute {
			t.Errorf("they are %s old", age)
		}
	}
	must(t, a.ReleaseLease(ctx, lease))
	_, err = b.AcquireLease(ctx, "figures", "another", time.Minute)
	must(t, err)
	wantError(t, "of a lease that is lost", a.SaveFigures(ctx, []byte(`{"n":3}`), lease.Fence()), store.ErrFenced)
}
