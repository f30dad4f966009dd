package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/pando-ca/pando/store"
)

func testRecords(t *testing.T, a, b Store) {
	ctx, now := t.Context(), Now()
	// Twelve certificates, two of each moment of expiry, two identities, three issuers.
	var all []*store.Issuance
	for n := range 12 {
		i := NewIssuance([]string{"spiffe://example.org/a", "spiffe://example.org/b"}[n%2], now)
		i.Issuer = []string{"i1", "i2", "i3"}[n%3]
		i.NotAfter = now.Add(time.Duration(n/2-2) * 13 * time.Hour)
		i.Serial = NewSerial(i.NotAfter)
		all = append(all, i)
	}
	mustInsert(t, a, all...)
	for _, n := range []int{3, 8, 10} {
		must(t, a.Revoke(ctx, all[n].Serial, now, 4, NewAudit("certificate.revoke", "r")))
		all[n].Revoked = &store.Revocation{Serial: all[n].Serial, Issuer: all[n].Issuer, NotAfter: all[n].NotAfter, RevokedAt: now, Reason: 4}
	}
	cutoff := now.Add(26 * time.Hour)
	is := func(state store.State) func(*store.Record) bool {
		return func(r *store.Record) bool {
			switch {
			case r.Revoked != nil:
				return state == store.StateRevoked
			case r.NotAfter.After(now):
				return state == store.StateLive
			}
			return state == store.StateExpired
		}
	}
	for name, test := range map[string]struct {
		filter store.RecordFilter
		keep   func(*store.Record) bool
	}{
		"all":                 {store.RecordFilter{}, func(*store.Record) bool { return true }},
		"by identity":         {store.RecordFilter{SPIFFEID: "spiffe://example.org/a"}, func(r *store.Record) bool { return r.SPIFFEID == "spiffe://example.org/a" }},
		"an unknown identity": {store.RecordFilter{SPIFFEID: "spiffe://example.org/"}, func(*store.Record) bool { return false }},
		"by issuer":           {store.RecordFilter{Issuer: "i2"}, func(r *store.Record) bool { return r.Issuer == "i2" }},
		"an unknown issuer":   {store.RecordFilter{Issuer: "i4"}, func(*store.Record) bool { return false }},
		"live":                {store.RecordFilter{State: store.StateLive, Now: now}, is(store.StateLive)},
		"expired":             {store.RecordFilter{State: store.StateExpired, Now: now}, is(store.StateExpired)},
		"revoked":             {store.RecordFilter{State: store.StateRevoked, Now: now}, is(store.StateRevoked)},
		"by expiry":           {store.RecordFilter{ExpiresBefore: cutoff}, func(r *store.Record) bool { return r.NotAfter.Before(cutoff) }},
		"by identity, issuer, state and expiry": {
			store.RecordFilter{SPIFFEID: "spiffe://example.org/b", Issuer: "i1", State: store.StateRevoked, Now: now, ExpiresBefore: cutoff},
			func(r *store.Record) bool {
				return r.SPIFFEID == "spiffe://example.org/b" && r.Issuer == "i1" && r.Revoked != nil && r.NotAfter.Before(cutoff)
			},
		},
		"by identity and state": {
			store.RecordFilter{SPIFFEID: "spiffe://example.org/a", State: store.StateLive, Now: now},
			func(r *store.Record) bool { return r.SPIFFEID == "spiffe://example.org/a" && is(store.StateLive)(r) },
		},
		"by issuer and expiry": {
			store.RecordFilter{Issuer: "i3", ExpiresBefore: cutoff},
			func(r *store.Record) bool { return r.Issuer == "i3" && r.NotAfter.Before(cutoff) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			var want []store.Record
			for _, i := range all {
				if test.keep(&i.Record) {
					want = append(want, i.Record)
				}
			}
			slices.SortFunc(want, func(x, y store.Record) int {
				if c := y.NotAfter.Compare(x.NotAfter); c != 0 {
					return c
				}
				return slices.Compare(x.Serial[:], y.Serial[:])
			})
			for _, size := range []int{1, 5, 1000} {
				wantSame(t, "records", pages(t, b, test.filter, size), want)
			}
		})
	}
}

// pages reads a listing page by page.
func pages(t *testing.T, s store.Records, f store.RecordFilter, size int) []store.Record {
	t.Helper()
	var all []store.Record
	f.Limit = size
	for {
		page, err := s.Records(t.Context(), f)
		must(t, err)
		if len(page) > size {
			t.Fatalf("a page of %d records, want at most %d", len(page), size)
		}
		all = append(all, page...)
		if len(page) < size {
			return all
		}
		last := page[len(page)-1]
		f.After = store.Cursor{NotAfter: last.NotAfter, Serial: last.Serial}
	}
}

func testAudits(t *testing.T, a, b Store) {
	ctx := t.Context()
	plain := NewAudit("entry.create", "e1")
	plain.Detail = nil
	must(t, a.CreateEntry(ctx, NewEntry("e1", "spiffe://example.org/a"), plain))
	wantError(t, "second entry", a.CreateEntry(ctx, NewEntry("e1", "spiffe://example.org/a"), NewAudit("entry.create", "again")), store.ErrExists)
	must(t, b.CreateToken(ctx, NewToken("t1", "e1"), NewAudit("token.create", "t1")))
	must(t, a.ReplaceGeneration(ctx, 0, store.Generation{Number: 1}, store.Fence{}, NewAudit("generation.replace", "1")))
	wantError(t, "second first generation", a.ReplaceGeneration(ctx, 0, store.Generation{Number: 1}, store.Fence{}, NewAudit("generation.replace", "again")), store.ErrConflict)
	must(t, b.DeleteEntry(ctx, "e1", NewAudit("entry.delete", "e1")))
	wantError(t, "second deletion", b.DeleteEntry(ctx, "e1", NewAudit("entry.delete", "again")), store.ErrNotFound)

	want := []store.Audit{
		NewAudit("entry.delete", "e1"), NewAudit("generation.replace", "1"), NewAudit("token.create", "t1"), plain,
	}
	var got []store.Audit
	var before int64
	for {
		page, err := a.Audits(ctx, store.AuditFilter{After: before, Limit: 3})
		must(t, err)
		for _, audit := range page {
			if before != 0 && audit.Seq >= before {
				t.Errorf("seq %d after %d, want descending", audit.Seq, before)
			}
			before = audit.Seq
			audit.Seq, audit.Link, audit.Hash = 0, 0, nil
			got = append(got, audit)
		}
		if len(page) < 3 {
			break
		}
	}
	wantSame(t, "audit rows", got, want)
}
