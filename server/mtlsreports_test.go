package server_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca/mtls"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

const instance = "0123456789abcdef"

// run runs a service until the returned function is called.
func (f *fixture) run(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// listener is one that has seen both in the last hour.
func listener(now time.Time) server.MTLSListener {
	return server.MTLSListener{
		Mode: mtls.ModePermissive, Source: mtls.SourcePolicy, ObservedSince: now.Add(-time.Hour),
		LastMTLS: now.Add(-time.Minute), LastPlaintext: now.Add(-2 * time.Minute),
	}
}

// reports is what is kept.
func (f *fixture) reports(t *testing.T) []store.MTLSReport {
	t.Helper()
	rows, err := f.store.MTLSReports(t.Context(), store.MTLSReportFilter{First: "spiffe://", Last: "t", KeptAt: time.Now(), Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// TestAReportIsDurableWhenItIsAnswered, with times that can be.
func TestAReportIsDurableWhenItIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		defer f.run(t)()
		issued := f.issue(t, administrator(policy.RoleAdmin), request(t, workload))
		now := time.Now()
		odd := listener(now)
		odd.Name, odd.ObservedSince, odd.LastMTLS, odd.LastPlaintext = "admin", now.Add(-365*24*time.Hour), now.Add(time.Hour), time.Time{}
		report := server.MTLSReport{Instance: instance, Listeners: []server.MTLSListener{listener(now), odd}}
		if err := f.ReportMTLS(t.Context(), f.peer(t, issued), report); err != nil {
			t.Fatal(err)
		}
		row := func(name string, since, lastMTLS, lastPlaintext time.Time) store.MTLSReport {
			return store.MTLSReport{
				SPIFFEID: workload, Listener: name, Instance: instance, Mode: "permissive", Source: "policy",
				ObservedSince: since.UTC(), LastMTLS: lastMTLS.UTC(), LastPlaintext: lastPlaintext.UTC(), ReportedAt: now.UTC(), NotAfter: issued.NotAfter.UTC(),
			}
		}
		want := []store.MTLSReport{
			row("admin", now.Add(-mtls.Memory), now, time.Time{}),
			row("default", now.Add(-time.Hour), now.Add(-time.Minute), now.Add(-2*time.Minute)),
		}
		if diff := cmp.Diff(want, f.reports(t)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// counting is a store that counts the transactions that write reports.
type counting struct {
	server.MTLSStore
	mu    sync.Mutex
	sizes []int
	err   error
}

func (c *counting) ReportMTLS(ctx context.Context, reports []store.MTLSReport) error {
	c.mu.Lock()
	c.sizes = append(c.sizes, len(reports))
	err := c.err
	c.mu.Unlock()
	if err != nil {
		return err
	}
	return c.MTLSStore.ReportMTLS(ctx, reports)
}

// TestReportsAreWrittenTogether: many that come in one moment cost few transactions.
func TestReportsAreWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		counts := &counting{MTLSStore: f.store}
		r := f.replica(t, func(cfg *server.Config) { cfg.MTLS = counts })
		defer r.run(t)()
		caller := f.programOf(t, workload)
		var wait sync.WaitGroup
		for n := range 1500 {
			wait.Go(func() {
				report := server.MTLSReport{Instance: fmt.Sprintf("%016x", n), Listeners: []server.MTLSListener{listener(time.Now())}}
				if err := r.ReportMTLS(t.Context(), caller, report); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		total := 0
		for _, n := range counts.sizes {
			total += n
		}
		if total != 1500 || len(counts.sizes) != 2 || slices.Max(counts.sizes) > 1000 {
			t.Errorf("written in %v", counts.sizes)
		}
	})
}

// TestAReportThatIsNotWritten is no success, whatever the reason.
func TestAReportThatIsNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		broken := &counting{MTLSStore: f.store, err: errAway}
		r := f.replica(t, func(cfg *server.Config) { cfg.MTLS = broken })
		stop := r.run(t)
		caller := f.programOf(t, workload)
		report := server.MTLSReport{Instance: instance, Listeners: []server.MTLSListener{listener(time.Now())}}
		if err := r.ReportMTLS(t.Context(), caller, report); code(err) != "unavailable" {
			t.Errorf("a database that is away gives %v", err)
		}
		broken.mu.Lock()
		broken.err = nil
		broken.mu.Unlock()
		if err := r.ReportMTLS(t.Context(), caller, report); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		stop()
		if err := r.ReportMTLS(t.Context(), caller, report); code(err) != "unavailable" {
			t.Errorf("a replica that has stopped gives %v", err)
		}
		idle := f.replica(t) // nobody writes
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := idle.ReportMTLS(ctx, caller, report); code(err) != "unavailable" {
			t.Errorf("a wait that is over gives %v", err)
		}
	})
}

func TestHostileReports(t *testing.T) {
	f := newFixture(t)
	defer f.run(t)()
	caller, now := f.programOf(t, workload), time.Now()
	one := func(change func(*server.MTLSListener)) server.MTLSReport {
		l := listener(now)
		change(&l)
		return server.MTLSReport{Instance: instance, Listeners: []server.MTLSListener{l}}
	}
	many := server.MTLSReport{Instance: instance}
	for n := range 65 {
		l := listener(now)
		l.Name = fmt.Sprint("l", n)
		many.Listeners = append(many.Listeners, l)
	}
	for name, report := range map[string]server.MTLSReport{
		"no instance":               {Instance: ""},
		"an instance of 15 digits":  {Instance: instance[1:]},
		"an instance of 17 digits":  {Instance: instance + "0"},
		"upper-case digits":         {Instance: strings.ToUpper(instance)},
		"NUL in the instance":       {Instance: instance[1:] + "\x00"},
		"65 listeners":              many,
		"a name that is none":       one(func(l *server.MTLSListener) { l.Name = "A" }),
		"a name with a line break":  one(func(l *server.MTLSListener) { l.Name = "a\n" }),
		"a name that is too long":   one(func(l *server.MTLSListener) { l.Name = strings.Repeat("a", 64) }),
		"no mode":                   one(func(l *server.MTLSListener) { l.Mode = "" }),
		"another mode":              one(func(l *server.MTLSListener) { l.Mode = "policy" }),
		"no source":                 one(func(l *server.MTLSListener) { l.Source = "" }),
		"another source":            one(func(l *server.MTLSListener) { l.Source = "mesh" }),
		"no beginning":              one(func(l *server.MTLSListener) { l.ObservedSince = time.Time{} }),
		"the same name twice":       {Instance: instance, Listeners: []server.MTLSListener{listener(now), listener(now)}},
		"the default by both names": {Instance: instance, Listeners: []server.MTLSListener{listener(now), one(func(l *server.MTLSListener) { l.Name = "default" }).Listeners[0]}},
	} {
		if err := f.ReportMTLS(t.Context(), caller, report); code(err) != "invalid_request" {
			t.Errorf("%s gives %v", name, err)
		}
	}
	if rows := f.reports(t); len(rows) != 0 {
		t.Errorf("written: %v", rows)
	}
	many.Listeners = many.Listeners[:64]
	if err := f.ReportMTLS(t.Context(), caller, many); err != nil {
		t.Errorf("64 listeners give %v", err)
	}
	forged := caller
	forged.Fingerprint[0]++
	if err := f.ReportMTLS(t.Context(), forged, many); code(err) != "permission_denied" {
		t.Errorf("a certificate that is not the recorded one gives %v", err)
	}
}

// TestReportsHaveABucketOfTheirOwn: they are limited as issuance is, and take nothing from it.
func TestReportsHaveABucketOfTheirOwn(t *testing.T) {
	f := newFixture(t, func(cfg *server.Config) { cfg.IdentityRate, cfg.IdentityBurst = 0.001, 2 })
	caller := f.programOf(t, workload)
	report := server.MTLSReport{Instance: instance}
	for n, want := range []string{"", "", "rate_limited"} {
		if err := f.ReportMTLS(t.Context(), caller, report); code(err) != want {
			t.Errorf("report %d gives %v", n, err)
		}
	}
	if _, err := f.Renew(t.Context(), caller, request(t)); err != nil {
		t.Errorf("a renewal after that gives %v", err)
	}
}

// full is a store with as many reports of each identity as may be, once it was asked for room times.
type full struct {
	server.MTLSStore
	asked, room int
}

func (s *full) CountMTLSReports(_ context.Context, _ string, limit int) (int, error) {
	if s.asked++; s.asked <= s.room {
		return 0, nil
	}
	return limit, nil
}

// TestThereAreOnlySoManyReports of one identity: instances that are new are refused, and the
// database is not asked each time.
func TestThereAreOnlySoManyReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		limited := &full{MTLSStore: f.store}
		r := f.replica(t, func(cfg *server.Config) { cfg.MTLS = limited })
		caller := f.programOf(t, workload)
		for n := range 5 {
			report := server.MTLSReport{Instance: fmt.Sprintf("%016x", n), Listeners: []server.MTLSListener{listener(time.Now())}}
			if err := r.ReportMTLS(t.Context(), caller, report); code(err) != "rate_limited" {
				t.Errorf("a new instance gives %v", err)
			}
		}
		if limited.asked != 1 {
			t.Errorf("the database was asked %d times", limited.asked)
		}
	})
}

// observe writes what was seen, as reported with a certificate that lives on for an hour.
func (f *fixture) observe(t *testing.T, id, name, instance string, change func(*store.MTLSReport)) {
	t.Helper()
	now := time.Now()
	r := store.MTLSReport{
		SPIFFEID: id, Listener: name, Instance: instance, Mode: "permissive", Source: "policy",
		ObservedSince: now.Add(-48 * time.Hour), LastMTLS: now.Add(-time.Minute), ReportedAt: now, NotAfter: now.Add(time.Hour),
	}
	if change != nil {
		change(&r)
	}
	if err := f.store.ReportMTLS(t.Context(), []store.MTLSReport{r}); err != nil {
		t.Fatal(err)
	}
}

// readiness is a page in lines.
func readiness(page *server.MTLSReadinessPage) []string {
	var lines []string
	for _, l := range page.Listeners {
		lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s %s %v", strings.TrimPrefix(l.SPIFFEID, "spiffe://example.org"), l.Listener, l.Obstacles)))
	}
	return lines
}

func TestReadiness(t *testing.T) {
	f, viewer := newFixture(t), administrator(policy.RoleViewer)
	const web, db = "spiffe://example.org/ns/a/web", "spiffe://example.org/ns/b/db"
	f.observe(t, web, "default", "1", nil)
	f.observe(t, web, "default", "2", nil)
	f.observe(t, web, "admin", "1", func(r *store.MTLSReport) { r.LastPlaintext = time.Now().Add(-2 * time.Hour) })
	f.observe(t, db, "default", "1", func(r *store.MTLSReport) { r.LastMTLS = time.Time{} })
	f.observe(t, "spiffe://example.org/ns/abc", "default", "1", func(r *store.MTLSReport) { r.NotAfter = time.Now().Add(-mtls.Memory - time.Hour) }) // forgotten
	look := func(what string, filter server.MTLSReadinessFilter, want ...string) {
		t.Helper()
		page, err := f.ListMTLSReadiness(t.Context(), viewer, filter)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, readiness(page)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	look("over a day", server.MTLSReadinessFilter{}, "/ns/a/web admin [plaintext]", "/ns/a/web default []", "/ns/b/db default [no_mtls]")
	look("over an hour", server.MTLSReadinessFilter{For: time.Hour}, "/ns/a/web admin []", "/ns/a/web default []", "/ns/b/db default [no_mtls]")
	look("over a week", server.MTLSReadinessFilter{For: mtls.Memory},
		"/ns/a/web admin [plaintext not_observed]", "/ns/a/web default [not_observed]", "/ns/b/db default [not_observed no_mtls]")
	look("of a pattern", server.MTLSReadinessFilter{Pattern: "/ns/*/db"}, "/ns/b/db default [no_mtls]")
	look("of one identity", server.MTLSReadinessFilter{Pattern: "/ns/a/web", PageSize: 1}, "/ns/a/web admin [plaintext]")
	look("of nobody", server.MTLSReadinessFilter{Pattern: "/ns/a/we"})

	_, err := f.StartMTLSOverride(t.Context(), administrator(policy.RoleOperator), server.MTLSOverrideSpec{
		Pattern: "/ns/a/**", Name: "default", Side: mtls.SideListen, Reason: "r",
	})
	if err != nil {
		t.Fatal(err)
	}
	look("under an override", server.MTLSReadinessFilter{}, "/ns/a/web admin [plaintext]", "/ns/a/web default [override]", "/ns/b/db default [no_mtls]")
}

// TestReadinessInPages lists each listener once, whatever the size of a page.
func TestReadinessInPages(t *testing.T) {
	f, viewer := newFixture(t), administrator(policy.RoleViewer)
	for n := range 7 {
		for i := range 3 {
			f.observe(t, fmt.Sprintf("spiffe://example.org/w%d", n), "default", fmt.Sprint(i), nil)
			f.observe(t, fmt.Sprintf("spiffe://example.org/w%d", n), "x", fmt.Sprint(i), nil)
		}
	}
	whole, err := f.ListMTLSReadiness(t.Context(), viewer, server.MTLSReadinessFilter{})
	if err != nil || len(whole.Listeners) != 14 || whole.Listeners[0].Instances != 3 {
		t.Fatalf("%d listeners, %v", len(whole.Listeners), err)
	}
	for size := 1; size < 16; size++ {
		var got []string
		filter := server.MTLSReadinessFilter{PageSize: size}
		for {
			page, err := f.ListMTLSReadiness(t.Context(), viewer, filter)
			if err != nil || len(page.Listeners) > size {
				t.Fatalf("%d listeners, %v", len(page.Listeners), err)
			}
			got = append(got, readiness(page)...)
			if filter.PageToken = page.NextPageToken; filter.PageToken == "" {
				break
			}
		}
		if diff := cmp.Diff(readiness(whole), got); diff != "" {
			t.Errorf("in pages of %d (-want +got):\n%s", size, diff)
		}
	}
}

// TestReadinessOfTooManyInstances: some may be missing.
func TestReadinessOfTooManyInstances(t *testing.T) {
	f := newFixture(t)
	r := f.replica(t, func(cfg *server.Config) { cfg.MTLS = &full{MTLSStore: f.store} })
	var rows []store.MTLSReport
	for n := range 800 {
		now := time.Now()
		rows = append(rows, store.MTLSReport{
			SPIFFEID: workload, Listener: "default", Instance: fmt.Sprintf("%016x", n), Mode: "permissive", Source: "policy",
			ObservedSince: now.Add(-48 * time.Hour), LastMTLS: now, ReportedAt: now, NotAfter: now.Add(time.Hour),
		})
	}
	if err := f.store.ReportMTLS(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	for service, want := range map[*fixture]string{f: "/ns/a/web default []", r: "/ns/a/web default [too_many_instances]"} {
		page, err := service.ListMTLSReadiness(t.Context(), administrator(policy.RoleViewer), server.MTLSReadinessFilter{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{want}, readiness(page)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
