package metrics_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/auth"
	"github.com/pando-ca/pando/server/metrics"
	"github.com/pando-ca/pando/store"
)

// seriesBudget is the most series that one replica may have, whatever the number of workloads.
const seriesBudget = 600

// families is one scrape, by name.
type families map[string]*dto.MetricFamily

func scrape(t *testing.T, m *metrics.Metrics) families {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("scrape: %d: %s", answer.Code, answer.Body)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	found, err := parser.TextToMetricFamilies(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// series is how many series a scrape has.
func (f families) series() int {
	n := 0
	for _, family := range f {
		for _, m := range family.GetMetric() {
			n++
			if m.Histogram != nil || m.Summary != nil { // buckets or quantiles, and a sum
				n += len(m.GetHistogram().GetBucket()) + len(m.GetSummary().GetQuantile()) + 1
			}
		}
	}
	return n
}

// ours is the metrics that this package names.
func (f families) ours() families {
	found := maps.Clone(f)
	maps.DeleteFunc(found, func(name string, _ *dto.MetricFamily) bool { return !strings.HasPrefix(name, "pando_") })
	return found
}

// values is a metric by its labels: a value, or the count of a histogram.
func (f families) values(name string) map[string]float64 {
	values := make(map[string]float64)
	for _, m := range f[name].GetMetric() {
		var labels []string
		for _, l := range m.GetLabel() {
			labels = append(labels, l.GetName()+"="+l.GetValue())
		}
		slices.Sort(labels)
		value := m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		values[strings.Join(labels, " ")] = value
	}
	return values
}

func (f families) check(t *testing.T, name string, want map[string]float64) {
	t.Helper()
	if diff := cmp.Diff(want, f.values(name)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestEventsAreCounted(t *testing.T) {
	m := metrics.New(metrics.Config{TrustDomain: "example.org", Version: "v1", Revision: "abc"})
	rest, grpc := m.Door("rest"), m.Door("grpc")

	rest.Request(server.OpSign, "workload", "ok", time.Millisecond, "")
	rest.Request(server.OpRenew, "workload", "ok", time.Millisecond, "")
	rest.Request(server.OpSign, "", "invalid_csr", time.Millisecond, "")
	rest.Request(server.OpListEntries, "", "ok", time.Millisecond, "") // no request for a certificate
	rest.Request(server.OpListEntries, "", "rate_limited", time.Millisecond, "")
	grpc.Request(server.OpSign, "server", "policy_denied", time.Millisecond, "")
	m.Signed(time.Millisecond, nil)
	m.Signed(time.Millisecond, errors.New("no such slot"))
	m.Denied("server", policy.RuleDNSName)
	m.AuthnFailed(policy.MethodJWT, auth.ReasonRateLimited)
	m.AuthnFailed("", auth.ReasonNoCredentials)
	m.Committed(3, time.Millisecond, nil)
	m.Committed(1, time.Millisecond, errors.New("connection reset"))
	m.Shed(7)
	m.Revoked(server.ReasonSuperseded, 41)
	m.Revoked(server.ReasonSuperseded, 1)

	got := scrape(t, m)
	got.check(t, "pando_revocations_total", map[string]float64{
		"reason=unspecified": 0, "reason=key_compromise": 0, "reason=affiliation_changed": 0,
		"reason=superseded": 42, "reason=cessation_of_operation": 0, "reason=privilege_withdrawn": 0,
	})
	got.check(t, "pando_sign_requests_total", map[string]float64{
		"code=ok door=rest profile=workload":          2,
		"code=ok door=rest profile=server":            0,
		"code=invalid_csr door=rest profile=none":     1,
		"code=ok door=grpc profile=workload":          0,
		"code=ok door=grpc profile=server":            0,
		"code=policy_denied door=grpc profile=server": 1,
	})
	got.check(t, "pando_sign_duration_seconds", map[string]float64{"door=rest": 3, "door=grpc": 1})
	got.check(t, "pando_signer_duration_seconds", map[string]float64{"backend=sealed": 2})
	got.check(t, "pando_signer_errors_total", map[string]float64{"backend=sealed": 1})
	got.check(t, "pando_policy_denials_total", map[string]float64{"profile=server reason=dns_name": 1})
	got.check(t, "pando_authn_failures_total", map[string]float64{
		"method=jwt reason=rate_limited": 1, "method=none reason=no_credentials": 1,
	})
	got.check(t, "pando_store_duration_seconds", map[string]float64{"op=insert": 2})
	got.check(t, "pando_store_errors_total", map[string]float64{"op=insert": 1})
	got.check(t, "pando_store_batch_size", map[string]float64{"": 2})
	got.check(t, "pando_requests_shed_total", map[string]float64{"reason=queue": 7, "reason=rate": 1})
	got.check(t, "pando_max_leaf_lifetime_seconds", map[string]float64{"": (90 * 24 * time.Hour).Seconds()})
	got.check(t, "pando_trust_domain_info", map[string]float64{"trust_domain=example.org": 1})
	if len(got["pando_build_info"].GetMetric()) != 1 || got["go_goroutines"] == nil || got["process_start_time_seconds"] == nil {
		t.Error("build, Go runtime or process is missing")
	}
}

// jobs is a scheduler that did this.
type jobs []rotation.Status

func (j jobs) Status(time.Time) []rotation.Status { return j }

type leader bool

func (l leader) Status() rotation.RotatorStatus { return rotation.RotatorStatus{Leader: bool(l)} }

func TestLeaderIsReadAtEachScrape(t *testing.T) {
	for leads, want := range map[bool]float64{true: 1, false: 0} {
		m := metrics.New(metrics.Config{})
		m.Watch(metrics.Sources{Leader: leader(leads)})
		got := scrape(t, m)["pando_scheduler_leader"].GetMetric()
		if len(got) != 1 || got[0].GetGauge().GetValue() != want {
			t.Errorf("leads %t: %v", leads, got)
		}
	}
}

type lists []rotation.CRLStatus

func (l lists) Status() []rotation.CRLStatus { return l }

func TestCRLsAreReadAtEachScrape(t *testing.T) {
	m, fresh := metrics.New(metrics.Config{}), make(lists, 1)
	m.Watch(metrics.Sources{CRLs: fresh[:0]})
	for _, name := range []string{"this_update_timestamp_seconds", "next_update_timestamp_seconds", "entries"} {
		if got := scrape(t, m)["pando_crl_"+name]; got != nil {
			t.Errorf("before there is a list: %v", got)
		}
	}
	at := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	fresh[0] = rotation.CRLStatus{Authority: "8052de7c88641a6b", ThisUpdate: at, NextUpdate: at.Add(time.Hour), Entries: 7}
	m = metrics.New(metrics.Config{})
	m.Watch(metrics.Sources{CRLs: fresh})
	got, label := scrape(t, m), "authority=8052de7c88641a6b"
	got.check(t, "pando_crl_this_update_timestamp_seconds", map[string]float64{label: float64(at.Unix())})
	got.check(t, "pando_crl_next_update_timestamp_seconds", map[string]float64{label: float64(at.Unix() + 3600)})
	got.check(t, "pando_crl_entries", map[string]float64{label: 7})
}

func TestStateIsReadAtEachScrape(t *testing.T) {
	authority := catest.New(t, catest.Options{})
	set := authority.Set()
	var serving *x509.Certificate
	success := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)

	m := metrics.New(metrics.Config{})
	m.Watch(metrics.Sources{
		Trust: authority,
		Jobs: jobs{
			{Name: "prune", Period: time.Hour, LastSuccess: success, Succeeded: 4, Failed: 2, Skipped: 1},
			{Name: "partitions", Period: 6 * time.Hour},
		},
		Serving: func() *x509.Certificate { return serving },
	})

	got := scrape(t, m)
	ends := make(map[string]float64)
	for _, a := range set.Authorities() {
		ends[fmt.Sprintf("authority=%s role=%s state=%s", a.ID(), a.Role(), a.State())] = float64(a.Certificate().NotAfter.Unix())
	}
	got.check(t, "pando_authority_not_after_timestamp_seconds", ends)
	if n := len(got["pando_authority_not_before_timestamp_seconds"].GetMetric()); n != len(ends) {
		t.Errorf("%d authorities have a start, want %d", n, len(ends))
	}
	got.check(t, "pando_bundle_sequence", map[string]float64{"": float64(set.Sequence())})
	got.check(t, "pando_bundle_authorities", map[string]float64{"": float64(len(set.Roots()))})
	got.check(t, "pando_bundle_published_timestamp_seconds",
		map[string]float64{"": float64(set.PublishedAt().UnixMicro()) / 1e6})
	got.check(t, "pando_scheduler_period_seconds", map[string]float64{"job=prune": 3600, "job=partitions": 21600})
	got.check(t, "pando_scheduler_last_success_timestamp_seconds", map[string]float64{"job=prune": float64(success.Unix())})
	got.check(t, "pando_scheduler_runs_total", map[string]float64{
		"job=prune outcome=succeeded": 4, "job=prune outcome=failed": 2, "job=prune outcome=skipped": 1,
		"job=partitions outcome=succeeded": 0, "job=partitions outcome=failed": 0, "job=partitions outcome=skipped": 0,
	})

	serving = set.Issuer().Certificate() // any certificate will do
	ends["authority= role=serving state=active"] = float64(serving.NotAfter.Unix())
	scrape(t, m).check(t, "pando_authority_not_after_timestamp_seconds", ends)
}

func TestRetiredAuthoritiesHaveNoSeries(t *testing.T) {
	tests := map[ca.State]bool{
		ca.StatePrepared: true, ca.StateRetiring: true, ca.StateTainted: true,
		ca.StateRetired: false, ca.StateRevoked: false,
	}
	for state, shown := range tests {
		t.Run(string(state), func(t *testing.T) {
			other := catest.New(t, catest.Options{})
			cfg := catest.New(t, catest.Options{}).SetConfig()
			for _, a := range other.SetConfig().Authorities {
				if a.Role == ca.RoleRoot {
					a.State = state
					cfg.Authorities = append(cfg.Authorities, a)
				}
			}
			set, err := ca.NewSet(cfg, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			m := metrics.New(metrics.Config{})
			m.Watch(metrics.Sources{Trust: fixed{set}})
			states := make(map[string]bool)
			for _, metric := range scrape(t, m)["pando_authority_not_after_timestamp_seconds"].GetMetric() {
				for _, l := range metric.GetLabel() {
					if l.GetName() == "state" {
						states[l.GetValue()] = true
					}
				}
			}
			if states[string(state)] != shown {
				t.Errorf("states shown: %v", slices.Sorted(maps.Keys(states)))
			}
		})
	}
}

// fixed is a service with one generation.
type fixed struct{ set *ca.Set }

func (f fixed) Set() *ca.Set { return f.set }

// wholeFleet has identities of every profile in every state, and certificates of four authorities.
func wholeFleet() fleet {
	var f server.Figures
	for _, profile := range []string{"workload", "server"} {
		for _, state := range server.IdentityStates() {
			f.Identities = append(f.Identities, server.IdentityCount{Profile: profile, State: state, Count: 1})
		}
		for n := range 4 {
			f.Live = append(f.Live, store.LiveCount{Profile: profile, Issuer: fmt.Sprintf("i%d", n), Certificates: 1})
		}
		f.Earliest = append(f.Earliest, server.EarliestEnd{Profile: profile})
	}
	f.Facts = new(store.Facts)
	for n := range shownIncidents {
		f.Incidents = append(f.Incidents, server.IncidentCount{ID: fmt.Sprintf("I%d", n), Left: 1})
	}
	return fleet{f}
}

// shownIncidents is how many open incidents server.Figures holds at most.
const shownIncidents = 20

// A server to which everything has happened, for every value that is known and for floods of
// values that are not.
func TestSeriesStayWithinTheBudget(t *testing.T) {
	m := metrics.New(metrics.Config{})
	m.Watch(metrics.Sources{
		Trust:   catest.New(t, catest.Options{}),
		Serving: func() *x509.Certificate { return nil },
		Jobs:    jobs{{Name: "prune"}, {Name: "partitions"}, {Name: "rotate"}, {Name: "pre-renew"}, {Name: "figures"}},
		Fleet:   wholeFleet(),
		Roles:   wholeRoles(),
		CRLs:    lists{{Authority: "i0"}, {Authority: "i1"}, {Authority: "i2"}, {Authority: "i3"}},
	})
	codes := []string{
		"ok", "invalid_request", "invalid_csr", "unauthenticated", "permission_denied", "policy_denied",
		"not_found", "already_exists", "conflict", "too_large", "rate_limited", "unavailable", "internal",
		"token_used", "token_expired", "replayed", "revoked", "key_blocked",
	}
	for _, door := range []*metrics.Door{m.Door("rest"), m.Door("grpc")} {
		for _, profile := range []string{"workload", "server", ""} {
			for _, code := range codes {
				door.Request(server.OpSign, profile, code, time.Millisecond, "")
			}
		}
	}
	for _, rule := range []policy.Rule{
		policy.RuleNoEntry, policy.RuleAmbiguousEntry, policy.RuleClaim, policy.RuleIdentity,
		policy.RuleTrustDomain, policy.RuleReserved, policy.RuleDNSName, policy.RuleProfile,
		policy.RuleKeyAlgorithm, policy.RuleDuration, policy.RuleCAKey, policy.RuleRole,
	} {
		m.Denied("workload", rule)
		m.Denied("server", rule)
	}
	for _, reason := range auth.Reasons() {
		m.AuthnFailed(policy.MethodJWT, reason)
	}
	known := scrape(t, m)

	for i := range 2000 {
		hostile := fmt.Sprintf("spiffe://example.org/\n\x1b[31m%d", i)
		m.Door("rest").Request(server.OpSign, hostile, hostile, time.Millisecond, "")
		m.Door("rest").Request(server.Operation(hostile), hostile, hostile, time.Millisecond, "")
		m.AuthnFailed(policy.Method(hostile), auth.Reason(hostile))
		m.Denied(hostile, policy.Rule(hostile))
		m.Revoked(server.Reason(hostile), 1)
	}
	flooded := scrape(t, m)
	t.Logf("%d series, %d after a flood of unknown values", known.series(), flooded.series())
	if more := flooded.ours().series() - known.ours().series(); more > 3 { // one "other" for each of three metrics
		t.Errorf("a flood of unknown values made %d series", more)
	}
	if flooded.series() > seriesBudget {
		t.Errorf("%d series, the budget is %d", flooded.series(), seriesBudget)
	}
	for name, family := range flooded {
		for _, metric := range family.GetMetric() {
			for _, l := range metric.GetLabel() {
				if strings.Contains(l.GetValue(), "spiffe") {
					t.Errorf("%s has a label from outside: %q", name, l.GetValue())
				}
			}
		}
	}
}

func TestObservingDoesNotAllocate(t *testing.T) {
	m := metrics.New(metrics.Config{})
	door := m.Door("grpc")
	issue := func() {
		door.Request(server.OpRenew, "workload", "ok", time.Millisecond, "")
		m.Signed(time.Millisecond, nil)
		m.Committed(12, time.Millisecond, nil)
		m.Denied("workload", policy.RuleIdentity)
		m.AuthnFailed(policy.MethodJWT, auth.ReasonUnavailable)
	}
	issue()
	if n := testing.AllocsPerRun(100, issue); n != 0 {
		t.Errorf("%v allocations per request, want none", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	m := metrics.New(metrics.Config{})
	door := m.Door("grpc")
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			door.Request(server.OpRenew, "workload", "ok", time.Millisecond, "")
			m.Signed(time.Millisecond, nil)
		}
	})
}
