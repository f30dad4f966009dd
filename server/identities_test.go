package server_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// states lists identities as SPIFFE ID and state, page by page.
func (f *fixture) states(t testing.TB, state server.IdentityState, size int) []string {
	t.Helper()
	var all []string
	filter := server.IdentityFilter{State: state, PageSize: size}
	for {
		page, err := f.ListIdentities(t.Context(), administrator(policy.RoleViewer), filter)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range page.Identities {
			all = append(all, i.SPIFFEID+" "+string(i.State))
		}
		if filter.PageToken = page.NextPageToken; filter.PageToken == "" {
			return all
		}
	}
}

func (f *fixture) signed(t testing.TB, id string, lifetime time.Duration) *server.Issued {
	t.Helper()
	req := request(t, id)
	req.Want.Duration = lifetime
	return f.issue(t, administrator(policy.RoleOperator), req)
}

// TestAnIdentityGrowsOld looks at one that never renews, and at one that does, at each edge.
func TestAnIdentityGrowsOld(t *testing.T) {
	const silent, lively = "spiffe://example.org/a", "spiffe://example.org/b"
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.signed(t, lively, time.Hour)
		old := f.signed(t, silent, time.Hour)
		for _, c := range []struct {
			at   time.Time
			want []string
		}{
			{time.Now(), []string{silent + " live", lively + " live"}},
			{old.Renewal.End, []string{silent + " live", lively + " live"}},
			{old.Renewal.End.Add(time.Millisecond), []string{silent + " overdue", lively + " live"}},
			{old.NotAfter.Add(-time.Millisecond), []string{silent + " overdue", lively + " live"}},
			{old.NotAfter, []string{silent + " expired", lively + " live"}},
			{old.NotAfter.Add(time.Hour - time.Millisecond), []string{silent + " expired", lively + " live"}},
			{old.NotAfter.Add(time.Hour), []string{lively + " live"}},
		} {
			for time.Now().Before(c.at) {
				time.Sleep(min(time.Until(c.at), 20*time.Minute))
				f.signed(t, lively, time.Hour)
			}
			if diff := cmp.Diff(c.want, f.states(t, "", 0)); diff != "" {
				t.Errorf("at %s (-want +got):\n%s", time.Since(old.NotBefore), diff)
			}
		}
	})
}

// TestALongLivedIdentityIsForgottenAfterADay, which bounds what has to be read.
func TestALongLivedIdentityIsForgottenAfterADay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		old := f.signed(t, "spiffe://example.org/a", 24*time.Hour)
		time.Sleep(time.Until(old.NotAfter.Add(24*time.Hour - time.Second)))
		if got := f.states(t, server.IdentityExpired, 0); len(got) != 1 {
			t.Errorf("within a day: %v", got)
		}
		time.Sleep(time.Second)
		if got := f.states(t, "", 0); len(got) != 0 {
			t.Errorf("after a day: %v", got)
		}
	})
}

func TestIdentitiesAreSelectedByState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		want := map[server.IdentityState][]string{}
		for n := range 30 {
			id := fmt.Sprintf("spiffe://example.org/w%02d", n)
			issued := f.signed(t, id, []time.Duration{time.Hour, 40 * time.Minute, 24 * time.Hour}[n%3])
			state := []server.IdentityState{server.IdentityOverdue, server.IdentityExpired, server.IdentityLive}[n%3]
			if n == 7 || n == 11 {
				state = server.IdentityRevoked
				if err := f.store.Revoke(t.Context(), storeSerial(t, issued.Serial), time.Now(), 1, store.Audit{}); err != nil {
					t.Fatal(err)
				}
			}
			want[state] = append(want[state], id+" "+string(state))
			want[""] = append(want[""], id+" "+string(state))
		}
		time.Sleep(50 * time.Minute)
		for _, state := range append(server.IdentityStates(), "") {
			for _, size := range []int{1, 3, 100} {
				if diff := cmp.Diff(want[state], f.states(t, state, size)); diff != "" {
					t.Errorf("state %q, %d at a time (-want +got):\n%s", state, size, diff)
				}
			}
		}
		for name, filter := range map[string]server.IdentityFilter{
			"a state that there is not": {State: "retired"}, "a token of no listing": {PageToken: "x\x00"}, "a page of -1": {PageSize: -1},
		} {
			if _, err := f.ListIdentities(t.Context(), administrator(policy.RoleViewer), filter); code(err) != "invalid_request" {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// crowd is a fleet of very many identities that are all of one age.
type crowd struct {
	server.FigureStore
	size  int
	notAt time.Time // NotAfter of all
	reads int
}

func (c *crowd) Identities(_ context.Context, f store.IdentityFilter) ([]store.Identity, error) {
	c.reads++
	var page []store.Identity
	at := 0
	if f.After != "" {
		fmt.Sscanf(f.After, "spiffe://example.org/w%d", &at)
	}
	for n := at + 1; n <= c.size && len(page) < f.Limit; n++ {
		page = append(page, store.Identity{
			SPIFFEID: fmt.Sprintf("spiffe://example.org/w%07d", n), Profile: "workload", Issuer: "i",
			NotBefore: c.notAt.Add(-time.Hour), NotAfter: c.notAt, Serial: store.Serial{1},
		})
	}
	return page, nil
}

// TestOneRequestDoesNotReadTheWholeFleet: to look for the few that are not there takes several.
func TestOneRequestDoesNotReadTheWholeFleet(t *testing.T) {
	c := &crowd{size: 50_000, notAt: time.Now().Add(50 * time.Minute)}
	f := newFixture(t, func(cfg *server.Config) { c.FigureStore = cfg.Fleet; cfg.Fleet = c })
	filter := server.IdentityFilter{State: server.IdentityExpired}
	for requests := 1; ; requests++ {
		c.reads = 0
		page, err := f.ListIdentities(t.Context(), administrator(policy.RoleViewer), filter)
		if err != nil || len(page.Identities) > 0 {
			t.Fatal(page, err)
		}
		if c.reads > 11 {
			t.Errorf("request %d reads %d pages", requests, c.reads)
		}
		if filter.PageToken = page.NextPageToken; filter.PageToken == "" {
			if requests != 3 {
				t.Errorf("%d requests", requests)
			}
			return
		}
	}
}

func TestFiguresAreThoseOfTheFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		if f.Figures() != nil {
			t.Error("there are figures before the first count")
		}
		long := f.signed(t, "spiffe://example.org/a", 24*time.Hour)
		f.signed(t, "spiffe://example.org/b", time.Hour)
		f.signed(t, "spiffe://example.org/c", 10*time.Minute)
		gone := f.signed(t, "spiffe://example.org/d", 24*time.Hour)
		if err := f.store.Revoke(t.Context(), storeSerial(t, gone.Serial), time.Now(), 1, store.Audit{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Minute)
		f.signed(t, "spiffe://example.org/b", time.Hour)
		time.Sleep(50 * time.Minute) // the one before has expired, and this one is overdue
		if err := f.RefreshFigures(t.Context(), store.Fence{}, time.Now()); err != nil {
			t.Fatal(err)
		}
		got := f.Figures()
		counts := map[string]int{}
		for _, c := range got.Identities {
			counts[c.Profile+" "+string(c.State)] = c.Count
		}
		want := map[string]int{
			"workload live": 1, "workload overdue": 1, "workload expired": 0, "workload revoked": 1,
			"server live": 0, "server overdue": 0, "server expired": 0, "server revoked": 0,
		}
		if diff := cmp.Diff(want, counts); diff != "" {
			t.Errorf("identities (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]store.LiveCount{{Profile: "workload", Issuer: long.Issuer, Certificates: 2}}, got.Live); diff != "" {
			t.Errorf("live certificates (-want +got):\n%s", diff)
		}
		if len(got.Earliest) != 1 || got.Earliest[0].Profile != "workload" || !got.Earliest[0].NotAfter.Before(time.Now().Add(10*time.Minute)) {
			t.Errorf("earliest end: %+v", got.Earliest)
		}
		if diff := cmp.Diff([server.RemainingSteps]int{1: 1, 9: 1}, got.Remaining); diff != "" {
			t.Errorf("remaining lifetimes (-want +got):\n%s", diff)
		}
	})
}

// openIncident is one that goes on, and one that is over.
type openIncident struct{ deadline time.Time }

func (o openIncident) Incidents(context.Context, int, time.Time) ([]server.Incident, error) {
	return []server.Incident{{ID: "open", Left: 3, Deadline: o.deadline}, {ID: "over", ClosedAt: o.deadline}}, nil
}

func (openIncident) Incident(context.Context, string, time.Time) (*server.Incident, error) {
	return nil, store.ErrNotFound
}

func TestFiguresTellOfWhatSpreads(t *testing.T) {
	deadline := time.Now().Add(time.Hour).Truncate(time.Second)
	f := newFixture(t, func(c *server.Config) { c.Incidents = openIncident{deadline} })
	const gateway, revoked = "spiffe://example.org/gateway", "spiffe://example.org/revoked"
	for _, id := range []string{gateway, revoked, "spiffe://example.org/not-yet"} {
		f.entry(t, policy.EntrySpec{SPIFFEID: id, Method: policy.MethodJoinToken, Watch: true})
	}
	f.entry(t, policy.EntrySpec{SPIFFEID: "spiffe://example.org/other", Method: policy.MethodJoinToken})
	issued := f.signed(t, gateway, time.Hour)
	other := f.signed(t, "spiffe://example.org/other", time.Hour)
	out := f.signed(t, revoked, time.Hour)
	if err := f.store.Revoke(t.Context(), storeSerial(t, out.Serial), time.Now(), 1, store.Audit{}); err != nil {
		t.Fatal(err)
	}
	if err := f.store.Acknowledge(t.Context(), []store.Ack{{Serial: storeSerial(t, other.Serial), Sequence: 9, NotAfter: other.NotAfter}}); err != nil {
		t.Fatal(err)
	}
	count := func() *server.Figures {
		if err := f.RefreshFigures(t.Context(), store.Fence{}, time.Now()); err != nil {
			t.Fatal(err)
		}
		return f.Figures()
	}
	got := count()
	if diff := cmp.Diff([]server.WatchedCertificate{{SPIFFEID: gateway, NotBefore: issued.NotBefore.UTC(), NotAfter: issued.NotAfter.UTC()}}, got.Watched); diff != "" {
		t.Errorf("watched (-want +got):\n%s", diff)
	}
	if got.Sequence != f.Set().Sequence() || got.Facts.Followers[9] != 1 || got.Facts.Issuers[issued.Issuer].Live != 2 {
		t.Errorf("sequence %d, facts %+v", got.Sequence, got.Facts)
	}
	if got.Incidents != nil {
		t.Errorf("incidents are counted while none is open: %+v", got.Incidents)
	}
	cfg := f.pki.SetConfig()
	cfg.Generation++
	cfg.Incidents = []ca.Incident{{ID: "open", Start: deadline.Add(-time.Hour), Deadline: deadline, Rate: 1}}
	set, err := ca.NewSet(cfg, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	f.adopt(t, set)
	if diff := cmp.Diff([]server.IncidentCount{{ID: "open", Left: 3, Deadline: deadline.UTC()}}, count().Incidents); diff != "" {
		t.Errorf("incidents (-want +got):\n%s", diff)
	}
}

func TestWatchedEntriesAreBounded(t *testing.T) {
	f := newFixture(t)
	for n := range server.MaxWatched {
		e := store.Entry{ID: fmt.Sprintf("ent_%03d", n), SPIFFEID: fmt.Sprintf("spiffe://example.org/w%d", n), Profile: "workload", Method: "join_token", Watch: true, CreatedAt: time.Now()}
		if err := f.store.CreateEntry(t.Context(), e, store.Audit{}); err != nil {
			t.Fatal(err)
		}
	}
	admin := administrator(policy.RoleAdmin)
	spec := policy.EntrySpec{SPIFFEID: "spiffe://example.org/more", Method: policy.MethodJoinToken, Watch: true}
	var refused *server.Error
	if _, err := f.CreateEntry(t.Context(), admin, spec); !errors.As(err, &refused) || refused.Kind != server.KindRefused {
		t.Errorf("one more: %v", err)
	}
	spec.Watch = false
	if _, err := f.CreateEntry(t.Context(), admin, spec); err != nil {
		t.Errorf("one that is not watched: %v", err)
	}
	if err := f.DeleteEntry(t.Context(), admin, "ent_007"); err != nil {
		t.Fatal(err)
	}
	spec.Watch = true
	if _, err := f.CreateEntry(t.Context(), admin, spec); err != nil {
		t.Errorf("once there is room: %v", err)
	}
}

// TestFiguresReachEveryReplicaAndGrowOld: each shows what one has counted, until that is too long ago.
func TestFiguresReachEveryReplicaAndGrowOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		other := f.replica(t, func(c *server.Config) { c.FiguresAge = time.Minute })
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- other.Run(ctx) }()
		time.Sleep(time.Second)
		f.signed(t, "spiffe://example.org/a", time.Hour)
		if err := f.RefreshFigures(t.Context(), store.Fence{}, time.Now()); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			after time.Duration
			there bool
		}{{3 * time.Second, false}, {2 * time.Second, true}, {54 * time.Second, true}, {2 * time.Second, false}} {
			time.Sleep(c.after)
			synctest.Wait()
			if got := other.Figures(); (got != nil) != c.there {
				t.Errorf("%s later: figures %v, want there: %t", c.after, got, c.there)
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestFiguresOfALostLeaseAreNotSaved(t *testing.T) {
	f := newFixture(t)
	if err := f.RefreshFigures(t.Context(), store.Fence{Lease: "figures", Term: 7}, time.Now()); err == nil || f.Figures() != nil {
		t.Errorf("error %v, figures %v", err, f.Figures())
	}
}
