package server_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca/mtls"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// told is an mTLS policy in a line: the modes by name, and the overrides.
func told(e *mtls.Effective) string {
	if e == nil {
		return "nothing"
	}
	text := ""
	for _, r := range e.Rules {
		text += fmt.Sprintf("%s=%s ", r.Name, r.Mode)
	}
	return fmt.Sprintf("%s%d overrides", text, len(e.Overrides))
}

// programOf is who has a certificate of an identity.
func (f *fixture) programOf(t testing.TB, id string) policy.Caller {
	t.Helper()
	return f.peer(t, f.issue(t, administrator(policy.RoleAdmin), request(t, id)))
}

// pollPolicy asks in the background, as who has the bundle and this version.
func (f *fixture) pollPolicy(ctx context.Context, caller policy.Caller, version string) <-chan polled {
	out := make(chan polled, 1)
	go func() {
		update, err := f.Trust(ctx, caller, server.Known{Bundle: 1, MTLS: &version}, 20*time.Second)
		out <- polled{update, err, time.Now()}
	}()
	return out
}

// version is what a caller is told at once.
func (f *fixture) version(t *testing.T, caller policy.Caller) string {
	t.Helper()
	update, err := f.Trust(t.Context(), caller, server.Known{Bundle: 1, MTLS: new(string)}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return update.MTLS.Version
}

// TestAPolicyEndsAPoll: each case is what ends a wait that began at second 0, and when.
func TestAPolicyEndsAPoll(t *testing.T) {
	for name, c := range map[string]struct {
		event func(*testing.T, *fixture, string) // at second 10, with the ID of an override in force
		want  string
		at    time.Duration
	}{
		"nothing but that the override expires": {func(*testing.T, *fixture, string) {}, "=permissive 0 overrides", 15 * time.Second},
		"another mode": {func(t *testing.T, f *fixture, _ string) { f.setPolicy(t, "/ns/**", mtls.ModeStrict) },
			"=strict 1 overrides", 10 * time.Second},
		"the same again": {func(t *testing.T, f *fixture, _ string) { f.setPolicy(t, "/ns/**", mtls.ModePermissive) },
			"=permissive 0 overrides", 15 * time.Second},
		"a rule of others": {func(t *testing.T, f *fixture, _ string) { f.setPolicy(t, "/other/**", mtls.ModeStrict) },
			"=permissive 0 overrides", 15 * time.Second},
		"an override": {func(t *testing.T, f *fixture, _ string) { f.override(t, "/ns/a/*", time.Minute) }, "=permissive 2 overrides", 10 * time.Second},
		"the end of one by hand": {func(t *testing.T, f *fixture, id string) {
			if _, err := f.EndMTLSOverride(t.Context(), administrator(policy.RoleOperator), id, "r"); err != nil {
				t.Fatal(err)
			}
		}, "=permissive 0 overrides", 10 * time.Second},
		"no rule any more": {func(t *testing.T, f *fixture, _ string) {
			if err := f.DeleteMTLSPolicy(t.Context(), administrator(policy.RoleAdmin), "/ns/**", "", nil); err != nil {
				t.Fatal(err)
			}
		}, "1 overrides", 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				f.commit(t, f.pki)
				f.follow(t, f.store, newOpeners(f.pki))
				f.setPolicy(t, "/ns/**", mtls.ModePermissive)
				id := f.override(t, "/ns/**", 15*time.Second)
				caller := f.programOf(t, workload)
				start := time.Now()
				answer := f.pollPolicy(t.Context(), caller, f.version(t, caller))
				time.Sleep(10 * time.Second)
				c.event(t, f, id)
				got := <-answer
				got.check(t, 1, false, start.Add(c.at))
				if told(got.MTLS) != c.want {
					t.Errorf("told %s, want %s", told(got.MTLS), c.want)
				}
			})
		})
	}
}

// TestAPolicyIsToldOnlyToWhomItConcerns: to a holder who asks.
func TestAPolicyIsToldOnlyToWhomItConcerns(t *testing.T) {
	f := newFixture(t)
	f.setPolicy(t, "/**", mtls.ModePermissive)
	known := new(string)
	for name, c := range map[string]struct {
		caller policy.Caller
		known  *string
		want   string
	}{
		"a holder who asks":         {f.programOf(t, workload), known, "=permissive 0 overrides"},
		"a holder who does not ask": {f.programOf(t, workload), nil, "nothing"},
		"without a certificate":     {administrator(policy.RoleAdmin), known, "nothing"},
		"one of Pando's own":        {f.programOf(t, "spiffe://example.org/pando/server"), known, "0 overrides"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := f.Trust(t.Context(), c.caller, server.Known{Bundle: 1, MTLS: c.known}, 0)
			if err != nil || told(got.MTLS) != c.want {
				t.Errorf("told %s, %v, want %s", told(got.MTLS), err, c.want)
			}
		})
	}
}

// TestWatchersAreToldOfPolicies in turn, each once.
func TestWatchersAreToldOfPolicies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.commit(t, f.pki)
		f.follow(t, f.store, newOpeners(f.pki))
		caller := f.programOf(t, workload)
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		var got []string
		done := make(chan error, 1)
		go func() {
			done <- f.WatchTrust(ctx, caller, server.Known{Bundle: 1, MTLS: new(string)}, func(u *server.TrustUpdate) error {
				got = append(got, fmt.Sprintf("%s %s", time.Since(start), told(u.MTLS)))
				return nil
			})
		}()
		time.Sleep(10 * time.Second)
		f.setPolicy(t, "/ns/**", mtls.ModePermissive)
		time.Sleep(10 * time.Second)
		f.override(t, "/ns/**", 30*time.Second)
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		want := []string{"0s 0 overrides", "10s =permissive 0 overrides", "20s =permissive 1 overrides", "50s =permissive 0 overrides"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestAReplicaThatIsBehind asks the database before it tells of what differs.
func TestAReplicaThatIsBehind(t *testing.T) {
	f := newFixture(t)
	behind := f.replica(t)
	caller := f.programOf(t, workload)
	before := behind.version(t, caller)
	f.setPolicy(t, "/ns/**", mtls.ModePermissive)
	version := f.version(t, caller)
	if version == before {
		t.Fatal("the version has not changed")
	}
	update, err := behind.Trust(t.Context(), caller, server.Known{Bundle: 1, MTLS: &version}, 0)
	if err != nil || update.MTLS.Version != version {
		t.Errorf("told %s, %v", told(update.MTLS), err)
	}
}

// TestPoliciesWhileTheDatabaseIsAway: what is known stays, and overrides expire all the same.
func TestPoliciesWhileTheDatabaseIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		broken := &brokenMTLS{MTLSStore: f.store}
		r := f.replica(t, func(cfg *server.Config) { cfg.MTLS = broken })
		f.commit(t, f.pki)
		caller := f.programOf(t, workload)
		broken.away.Store(true)
		if _, err := r.Trust(t.Context(), caller, server.Known{MTLS: new(string)}, 0); code(err) != "unavailable" {
			t.Errorf("a replica that knows no policy yet answers %v", err)
		}
		if update, err := r.Trust(t.Context(), caller, server.Known{}, 0); err != nil || update.MTLS != nil {
			t.Errorf("who does not ask is told %+v, %v", update, err)
		}
		if inForce, known := r.MTLSOverridesInForce(); known || len(inForce) != 0 {
			t.Errorf("in force, as far as it knows: %v", inForce)
		}
		broken.away.Store(false)
		f.setPolicy(t, "/ns/**", mtls.ModePermissive)
		f.override(t, "/ns/**", 10*time.Second)
		r.follow(t, f.store, newOpeners(f.pki))
		time.Sleep(time.Second)
		version := r.version(t, caller)
		broken.away.Store(true)
		answer := r.pollPolicy(t.Context(), caller, version)
		start := time.Now()
		if got := <-answer; told(got.MTLS) != "=permissive 0 overrides" || time.Since(start) != 9*time.Second {
			t.Errorf("told %s after %s", told(got.MTLS), time.Since(start))
		}
		stranger := "an older one"
		if update, err := r.Trust(t.Context(), caller, server.Known{Bundle: 1, MTLS: &stranger}, 0); err != nil || told(update.MTLS) != "=permissive 0 overrides" {
			t.Errorf("told %s, %v", told(update.MTLS), err)
		}
		if inForce, known := r.MTLSOverridesInForce(); !known || len(inForce) != 0 {
			t.Errorf("in force: %v", inForce)
		}
	})
}

// TestARowOfANewerReplica is strict where it is not understood.
func TestARowOfANewerReplica(t *testing.T) {
	f := newFixture(t)
	f.setPolicy(t, "/**", mtls.ModePermissive)
	audit := store.Audit{At: time.Now(), Actor: "a", Action: "mtls_policy.set", Target: "t"}
	for _, pattern := range []string{"/ns/**", "[a-z]"} {
		row := store.MTLSPolicy{Pattern: pattern, Mode: "paranoid", PlaintextDial: true, UpdatedAt: time.Now()}
		if _, err := f.store.SetMTLSPolicy(t.Context(), row, nil, audit); err != nil {
			t.Fatal(err)
		}
	}
	e, err := f.EffectiveMTLS(t.Context(), administrator(policy.RoleViewer), workload)
	if err != nil || told(e.Effective) != "=strict 0 overrides" || e.Rules[0].PlaintextDial {
		t.Errorf("told %+v, %v", e, err)
	}
}

// BenchmarkPolicyChange is what a change costs a replica with 100 000 callers and 5000 policies:
// each caller looks once for what holds for it. Half of them share a SPIFFE ID with another one.
func BenchmarkPolicyChange(b *testing.B) {
	var rules []mtls.Rule
	for n := range store.MaxMTLSPolicies {
		pattern, err := mtls.ParsePattern(fmt.Sprintf([]string{"/ns/n%d/**", "/ns/*/sa/s%d", "/ns/n%d/sa/s1"}[n%3], n))
		if err != nil {
			b.Fatal(err)
		}
		rules = append(rules, mtls.Rule{Pattern: pattern, Mode: mtls.ModeStrict})
	}
	var callers []spiffeid.ID
	for n := range 100_000 {
		callers = append(callers, parseID(b, fmt.Sprintf("spiffe://example.org/ns/n%d/sa/s%d", n/2%1000, n/2%97)))
	}
	for b.Loop() {
		server.AskAll(rules, callers)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(callers)), "ns/caller")
}
