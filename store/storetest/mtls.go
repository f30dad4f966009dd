package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pando-ca/pando/store"
)

func newMTLSPolicy(pattern, name string) store.MTLSPolicy {
	return store.MTLSPolicy{
		Pattern: pattern, Name: name, Mode: "permissive", PlaintextDial: true,
		UpdatedAt: Now(), UpdatedBy: "spiffe://example.org/pando/admin/a",
	}
}

func newMTLSOverride(id string, at time.Time) store.MTLSOverride {
	return store.MTLSOverride{
		ID: id, Pattern: "/ns/**", Name: "web", Side: "both", Reason: "clients are cut off",
		StartedAt: at, StartedBy: "spiffe://example.org/pando/admin/a", ExpiresAt: at.Add(time.Hour),
	}
}

// newMTLSReport is of a program that has seen nothing yet.
func newMTLSReport(id, listener, instance string) store.MTLSReport {
	return store.MTLSReport{
		SPIFFEID: "spiffe://example.org/" + id, Listener: listener, Instance: instance, Mode: "permissive", Source: "code",
		ObservedSince: Now().Add(-time.Hour), ReportedAt: Now(), NotAfter: Now().Add(time.Hour),
	}
}

// auditsOf counts the audit rows of an action.
func auditsOf(t *testing.T, s Store, action string) int {
	t.Helper()
	rows, err := s.Audits(t.Context(), store.AuditFilter{Action: action, Limit: 1000})
	must(t, err)
	return len(rows)
}

func testMTLSPolicies(t *testing.T, a, b Store) {
	ctx := t.Context()
	all := []store.MTLSPolicy{newMTLSPolicy("/a", ""), newMTLSPolicy("/a", "admin"), newMTLSPolicy("/ns/*/sa/web", "")}
	set := func(p *store.MTLSPolicy, expect *uint64) error {
		version, err := a.SetMTLSPolicy(ctx, *p, expect, NewAudit("mtls_policy.set", p.Pattern))
		if err == nil {
			p.Version = version
		}
		return err
	}
	for i := range all { // not in the order of listing
		must(t, set(&all[len(all)-1-i], nil))
	}
	look := func(what string, want []store.MTLSPolicy) {
		t.Helper()
		got, err := b.MTLSPolicies(ctx)
		must(t, err)
		wantSame(t, what, got, want)
	}
	look("policies", all)
	old := all[1].Version
	all[1].Mode, all[1].PlaintextDial, all[1].UpdatedBy = "strict", false, "somebody else"
	must(t, set(&all[1], &old))
	look("a policy that is replaced", all)
	wantError(t, "a version that has been replaced", set(&all[1], &old), store.ErrConflict)
	wantError(t, "a version of what is not there", set(&store.MTLSPolicy{Pattern: "/none"}, &old), store.ErrConflict)
	wantError(t, "none where there is one", set(&all[0], new(uint64)), store.ErrConflict)
	look("what was refused", all)
	fresh := newMTLSPolicy("/z", "")
	must(t, set(&fresh, new(uint64)))

	remove := func(pattern, name string, expect *uint64) error {
		return b.DeleteMTLSPolicy(ctx, pattern, name, expect, NewAudit("mtls_policy.delete", pattern))
	}
	wantError(t, "deletion of another version", remove("/a", "admin", &old), store.ErrConflict)
	wantError(t, "deletion of what is not there", remove("/a", "none", nil), store.ErrNotFound)
	must(t, remove("/a", "admin", &all[1].Version))
	must(t, remove("/z", "", nil))
	wantError(t, "deletion twice", remove("/z", "", nil), store.ErrNotFound)
	look("after deletions", []store.MTLSPolicy{all[0], all[2]})
	wantSame(t, "audit rows", [2]int{auditsOf(t, a, "mtls_policy.set"), auditsOf(t, a, "mtls_policy.delete")}, [2]int{5, 2})
}

func testMTLSPolicyRace(t *testing.T, a, b Store) {
	version, err := a.SetMTLSPolicy(t.Context(), newMTLSPolicy("/a", ""), nil, NewAudit("mtls_policy.set", "/a"))
	must(t, err)
	var won atomic.Int32
	var wait sync.WaitGroup
	for n := range 20 {
		s := []Store{a, b}[n%2]
		wait.Go(func() {
			_, err := s.SetMTLSPolicy(t.Context(), newMTLSPolicy("/a", ""), &version, NewAudit("mtls_policy.set", "/a"))
			switch {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, store.ErrConflict):
				t.Errorf("error %v, want %v", err, store.ErrConflict)
			}
		})
	}
	wait.Wait()
	wantSame(t, "edits that won", won.Load(), int32(1))
}

func testMTLSPolicyLimits(t *testing.T, a, b Store) {
	ctx := t.Context()
	set := func(p store.MTLSPolicy) error {
		_, err := a.SetMTLSPolicy(ctx, p, nil, NewAudit("mtls_policy.set", p.Pattern))
		return err
	}
	must(t, set(newMTLSPolicy("/a", "")))
	for n := range store.MaxMTLSNames {
		must(t, set(newMTLSPolicy("/a", fmt.Sprintf("n%d", n))))
	}
	before, err := b.MTLSVersion(ctx)
	must(t, err)
	wantError(t, "one name more", set(newMTLSPolicy("/a", "more")), store.ErrTooMany)
	must(t, set(newMTLSPolicy("/b", "n1")))
	must(t, set(newMTLSPolicy("/b", "")))
	all, err := b.MTLSPolicies(ctx)
	must(t, err)
	wantSame(t, "policies", len(all), store.MaxMTLSNames+3)
	after, err := b.MTLSVersion(ctx)
	must(t, err)
	if after < before+2 {
		t.Errorf("version %d after %d", after, before)
	}
}

func testMTLSOverrides(t *testing.T, a, b Store) {
	ctx, now := t.Context(), Now()
	start := func(o store.MTLSOverride) error {
		return a.StartMTLSOverride(ctx, o, NewAudit("mtls_override.start", o.ID))
	}
	end := func(id string, at time.Time) (*store.MTLSOverride, error) {
		return b.EndMTLSOverride(ctx, store.MTLSOverride{ID: id, EndedAt: at, EndedBy: "b", EndReason: "it works"}, NewAudit("mtls_override.end", id))
	}
	first, second := newMTLSOverride("o1", now), newMTLSOverride("o2", now.Add(time.Minute))
	must(t, start(first))
	must(t, start(second))
	wantError(t, "an ID twice", start(first), store.ErrExists)
	look := func(what string, inForce time.Time, limit int, want ...store.MTLSOverride) {
		t.Helper()
		got, err := b.MTLSOverrides(ctx, store.MTLSOverrideFilter{InForceAt: inForce, Limit: limit})
		must(t, err)
		wantSame(t, what, append([]store.MTLSOverride{}, got...), append([]store.MTLSOverride{}, want...))
	}
	look("all", time.Time{}, 10, second, first)
	look("the last", time.Time{}, 1, second)
	look("in force", now, 10, second, first)
	look("one has expired", first.ExpiresAt, 10, second)
	look("both have expired", second.ExpiresAt, 10)

	ended, err := end("o1", now.Add(2*time.Minute))
	must(t, err)
	first.EndedAt, first.EndedBy, first.EndReason = now.Add(2*time.Minute), "b", "it works"
	wantSame(t, "what was ended", *ended, first)
	look("one was ended", now, 10, second)
	again, err := end("o1", now.Add(3*time.Minute))
	must(t, err)
	wantSame(t, "ended twice", *again, first)
	expired, err := end("o2", second.ExpiresAt)
	must(t, err)
	wantSame(t, "ended after it had expired", *expired, second)
	_, err = end("none", now)
	wantError(t, "ended without having begun", err, store.ErrNotFound)
	wantSame(t, "audit rows", [2]int{auditsOf(t, a, "mtls_override.start"), auditsOf(t, a, "mtls_override.end")}, [2]int{2, 1})
}

func testMTLSOverrideLimit(t *testing.T, a, b Store) {
	var begun, refused atomic.Int32
	var wait sync.WaitGroup
	for n := range store.MaxMTLSOverrides + 10 {
		s, o := []Store{a, b}[n%2], newMTLSOverride(fmt.Sprintf("o%d", n), Now())
		wait.Go(func() {
			switch err := s.StartMTLSOverride(t.Context(), o, NewAudit("mtls_override.start", o.ID)); {
			case err == nil:
				begun.Add(1)
			case errors.Is(err, store.ErrTooMany):
				refused.Add(1)
			default:
				t.Errorf("StartMTLSOverride: %v", err)
			}
		})
	}
	wait.Wait()
	wantSame(t, "begun and refused", [2]int32{begun.Load(), refused.Load()}, [2]int32{store.MaxMTLSOverrides, 10})
	later := newMTLSOverride("later", Now().Add(time.Hour)) // the others have expired
	must(t, a.StartMTLSOverride(t.Context(), later, NewAudit("mtls_override.start", "later")))
}

func testMTLSVersion(t *testing.T, a, b Store) {
	ctx := t.Context()
	last, err := a.MTLSVersion(ctx)
	must(t, err)
	look := func(what string, grown bool) {
		t.Helper()
		version, err := b.MTLSVersion(ctx)
		must(t, err)
		if grown != (version > last) || !grown && version != last {
			t.Errorf("%s: version %d after %d", what, version, last)
		}
		last = version
	}
	set := func(at time.Time) {
		t.Helper()
		p := newMTLSPolicy("/a", "")
		p.UpdatedAt = at
		version, err := a.SetMTLSPolicy(ctx, p, nil, NewAudit("mtls_policy.set", "/a"))
		must(t, err)
		if version <= last {
			t.Errorf("version %d after %d", version, last)
		}
	}
	look("at rest", false)
	set(Now())
	if look("a policy", true); last < uint64(Now().UnixMicro()) {
		t.Errorf("version %d is not by the clock", last)
	}
	set(Now().Add(-time.Hour)) // by a clock that is behind
	look("a policy again", true)
	must(t, a.StartMTLSOverride(ctx, newMTLSOverride("o", Now()), NewAudit("mtls_override.start", "o")))
	look("an override", true)
	for _, grown := range []bool{true, false} {
		_, err = b.EndMTLSOverride(ctx, store.MTLSOverride{ID: "o", EndedAt: Now()}, NewAudit("mtls_override.end", "o"))
		must(t, err)
		look("the end of an override", grown)
	}
	must(t, a.DeleteMTLSPolicy(ctx, "/a", "", nil, NewAudit("mtls_policy.delete", "/a")))
	look("a deletion", true)
	wantError(t, "again", a.DeleteMTLSPolicy(ctx, "/a", "", nil, NewAudit("mtls_policy.delete", "/a")), store.ErrNotFound)
	look("a deletion of nothing", false)
	must(t, a.ReportMTLS(ctx, []store.MTLSReport{newMTLSReport("a", "default", "1")}))
	look("a report", false)
}

func testMTLSReports(t *testing.T, a, b Store) {
	ctx, now := t.Context(), Now()
	must(t, a.ReportMTLS(ctx, nil))
	r := newMTLSReport("a", "default", "1")
	other, elsewhere, gone := newMTLSReport("a", "admin", "1"), newMTLSReport("a", "default", "2"), newMTLSReport("ab", "default", "1")
	elsewhere.LastMTLS, elsewhere.LastPlaintext = now, now.Add(-time.Minute)
	gone.NotAfter = now.Add(-store.MTLSMemory)
	must(t, a.ReportMTLS(ctx, []store.MTLSReport{gone, elsewhere, r, other}))
	filter := store.MTLSReportFilter{First: "spiffe://example.org/a", Last: "spiffe://example.org/a\x7f", KeptAt: now, Limit: 10}
	look := func(what string, want ...store.MTLSReport) {
		t.Helper()
		got, err := b.MTLSReports(ctx, filter)
		must(t, err)
		wantSame(t, what, append([]store.MTLSReport{}, got...), append([]store.MTLSReport{}, want...))
	}
	look("reports", other, r, elsewhere)
	filter.After, filter.Limit = other.Key(), 1
	look("a page", r)
	filter.After, filter.Limit = elsewhere.Key(), 10
	look("past the end")
	filter.After, filter.KeptAt = store.MTLSReportKey{}, now.Add(-time.Second)
	look("a moment before", other, r, elsewhere, gone)
	filter.KeptAt, filter.Last = now, filter.First
	look("of one identity", other, r, elsewhere)

	// Times only grow, the rest is what was said last.
	r.LastMTLS = now.Add(-time.Minute)
	must(t, b.ReportMTLS(ctx, []store.MTLSReport{r}))
	older := r
	older.LastMTLS, older.LastPlaintext, older.NotAfter = now.Add(-time.Hour), now.Add(-2*time.Hour), now
	older.Mode, older.Source, older.ObservedSince = "strict", "policy", now.Add(-3*time.Hour)
	latest := older
	latest.LastMTLS, latest.LastPlaintext, latest.ObservedSince = time.Time{}, time.Time{}, now
	must(t, a.ReportMTLS(ctx, []store.MTLSReport{older, latest})) // twice in one batch
	want := latest
	want.LastMTLS, want.LastPlaintext, want.NotAfter = r.LastMTLS, older.LastPlaintext, r.NotAfter
	look("a report that was replaced", other, want, elsewhere)

	for limit, n := range map[int]int{10: 3, 2: 2} {
		got, err := b.CountMTLSReports(ctx, "spiffe://example.org/a", limit)
		must(t, err)
		wantSame(t, "count", got, n)
	}
}

func testMTLSReportRace(t *testing.T, a, b Store) {
	var batch []store.MTLSReport
	for n := range 50 {
		batch = append(batch, newMTLSReport(fmt.Sprintf("w%d", n), "default", "1"))
	}
	var wait sync.WaitGroup
	for n := range 8 {
		s, mine := []Store{a, b}[n%2], append([]store.MTLSReport(nil), batch...)
		if n%4 < 2 {
			for i := range mine {
				mine[i] = batch[len(batch)-1-i]
			}
		}
		wait.Go(func() {
			for range 5 {
				if err := s.ReportMTLS(t.Context(), mine); err != nil {
					t.Errorf("ReportMTLS: %v", err)
				}
			}
		})
	}
	wait.Wait()
}

func testPruneMTLS(t *testing.T, a, b Store) {
	ctx, now := t.Context(), Now()
	kept, gone := newMTLSReport("a", "default", "1"), newMTLSReport("a", "default", "2")
	kept.NotAfter, gone.NotAfter = now.Add(-store.MTLSMemory), now.Add(-store.MTLSMemory-time.Second)
	must(t, a.ReportMTLS(ctx, []store.MTLSReport{kept, gone}))
	before := now.Add(-30 * 24 * time.Hour)
	recent, old := newMTLSOverride("recent", before.Add(-time.Hour)), newMTLSOverride("old", before.Add(-time.Hour-time.Second))
	must(t, a.StartMTLSOverride(ctx, recent, NewAudit("mtls_override.start", "recent")))
	must(t, a.StartMTLSOverride(ctx, old, NewAudit("mtls_override.start", "old")))
	must(t, b.Prune(ctx, now, before))
	n, err := a.CountMTLSReports(ctx, kept.SPIFFEID, 10)
	must(t, err)
	wantSame(t, "reports", n, 1)
	overrides, err := a.MTLSOverrides(ctx, store.MTLSOverrideFilter{Limit: 10})
	must(t, err)
	wantSame(t, "overrides", overrides, []store.MTLSOverride{recent})
}
