package server_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca/mtls"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// mtlsOperations is each operation of mutual TLS, so that only who may not is refused.
func mtlsOperations(f *fixture) map[server.Operation]func(policy.Caller) error {
	ctx := context.Background()
	admin := administrator(policy.RoleAdmin)
	return map[server.Operation]func(policy.Caller) error{
		server.OpListMTLSPolicies: func(c policy.Caller) error { _, err := f.ListMTLSPolicies(ctx, c, 0, ""); return err },
		server.OpSetMTLSPolicy: func(c policy.Caller) error {
			_, err := f.SetMTLSPolicy(ctx, c, server.MTLSPolicySpec{Pattern: "/ns/**", Mode: mtls.ModeStrict})
			return err
		},
		server.OpDeleteMTLSPolicy: func(c policy.Caller) error {
			if _, err := f.SetMTLSPolicy(ctx, admin, server.MTLSPolicySpec{Pattern: "/gone", Mode: mtls.ModeStrict}); err != nil {
				return err
			}
			return f.DeleteMTLSPolicy(ctx, c, "/gone", "", nil)
		},
		server.OpListMTLSOverrides: func(c policy.Caller) error { _, err := f.ListMTLSOverrides(ctx, c, true); return err },
		server.OpStartMTLSOverride: func(c policy.Caller) error {
			_, err := f.StartMTLSOverride(ctx, c, server.MTLSOverrideSpec{Pattern: "/ns/**", Reason: "r"})
			return err
		},
		server.OpEndMTLSOverride: func(c policy.Caller) error {
			o, err := f.StartMTLSOverride(ctx, admin, server.MTLSOverrideSpec{Pattern: "/ns/**", Reason: "r"})
			if err != nil {
				return err
			}
			_, err = f.EndMTLSOverride(ctx, c, o.ID, "r")
			return err
		},
		server.OpGetEffectiveMTLS: func(c policy.Caller) error { _, err := f.EffectiveMTLS(ctx, c, workload); return err },
		server.OpListMTLSReadiness: func(c policy.Caller) error {
			_, err := f.ListMTLSReadiness(ctx, c, server.MTLSReadinessFilter{})
			return err
		},
		server.OpReportMTLS: func(c policy.Caller) error {
			return f.ReportMTLS(ctx, c, server.MTLSReport{Instance: "0123456789abcdef"})
		},
	}
}

// setPolicy sets a policy or fails the test.
func (f *fixture) setPolicy(t *testing.T, pattern string, mode mtls.Mode) {
	t.Helper()
	_, err := f.SetMTLSPolicy(t.Context(), administrator(policy.RoleAdmin), server.MTLSPolicySpec{Pattern: pattern, Mode: mode})
	if err != nil {
		t.Fatal(err)
	}
}

// override starts an override or fails the test.
func (f *fixture) override(t *testing.T, pattern string, lasts time.Duration) string {
	t.Helper()
	o, err := f.StartMTLSOverride(t.Context(), administrator(policy.RoleOperator), server.MTLSOverrideSpec{
		Pattern: pattern, Duration: lasts, Reason: "clients are cut off",
	})
	if err != nil {
		t.Fatal(err)
	}
	return o.ID
}

// audits is the audit rows about mutual TLS, the oldest first.
func (f *fixture) audits(t *testing.T) []string {
	t.Helper()
	rows, err := f.store.Audits(t.Context(), store.AuditFilter{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for i := range rows {
		if r := rows[len(rows)-1-i]; strings.HasPrefix(r.Action, "mtls_") {
			found = append(found, r.Action+" "+r.Target+" by "+r.Actor)
		}
	}
	return found
}

func TestMTLSPoliciesAreKept(t *testing.T) {
	f, ctx, admin := newFixture(t), t.Context(), administrator(policy.RoleAdmin)
	f.setPolicy(t, "/ns/**", mtls.ModePermissive)
	narrow := server.MTLSPolicySpec{Pattern: "/ns/a/web", Name: "admin", Mode: mtls.ModeDisabled, PlaintextDial: true, Version: new(uint64)}
	made, err := f.SetMTLSPolicy(ctx, admin, narrow)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.SetMTLSPolicy(ctx, admin, narrow); code(err) != "conflict" {
		t.Errorf("an edit of what somebody else has made meanwhile gives %v", err)
	}
	first, err := f.ListMTLSPolicies(ctx, admin, 1, "")
	if err != nil || len(first.Policies) != 1 || first.NextPageToken == "" {
		t.Fatalf("first page: %+v, %v", first, err)
	}
	second, err := f.ListMTLSPolicies(ctx, admin, 1, first.NextPageToken)
	if err != nil || second.NextPageToken != "" {
		t.Fatalf("second page: %+v, %v", second, err)
	}
	if diff := cmp.Diff([]server.MTLSPolicy{*made}, second.Policies); diff != "" {
		t.Errorf("second page (-want +got):\n%s", diff)
	}
	if err := f.DeleteMTLSPolicy(ctx, admin, "/ns/a/web", "admin", new(uint64)); code(err) != "conflict" {
		t.Errorf("deletion of another version gives %v", err)
	}
	if err := f.DeleteMTLSPolicy(ctx, admin, "/ns/a/web", "admin", &made.Version); err != nil {
		t.Error(err)
	}
	if err := f.DeleteMTLSPolicy(ctx, admin, "/ns/a/web", "admin", nil); code(err) != "not_found" {
		t.Errorf("deletion twice gives %v", err)
	}
	want := []string{"mtls_policy.set /ns/** by ci admin", "mtls_policy.set /ns/a/web by ci admin", "mtls_policy.delete /ns/a/web by ci admin"}
	if diff := cmp.Diff(want, f.audits(t)); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
}

// TestHostileMTLS is refused before anything is written.
func TestHostileMTLS(t *testing.T) {
	f, ctx, admin := newFixture(t), t.Context(), administrator(policy.RoleAdmin)
	for _, pattern := range []string{"", "/", "ns", "/a//b", "/**/a", "/a*", "/../a", "/a\x00", "spiffe://example.org/a", "/pando/**", "/pando", "/" + strings.Repeat("a", 2000)} {
		if _, err := f.SetMTLSPolicy(ctx, admin, server.MTLSPolicySpec{Pattern: pattern, Mode: mtls.ModeStrict}); code(err) != "invalid_request" {
			t.Errorf("a policy for %.40q gives %v", pattern, err)
		}
		if _, err := f.StartMTLSOverride(ctx, admin, server.MTLSOverrideSpec{Pattern: pattern, Reason: "r"}); code(err) != "invalid_request" {
			t.Errorf("an override for %.40q gives %v", pattern, err)
		}
	}
	for name, spec := range map[string]server.MTLSPolicySpec{
		"no mode":       {Pattern: "/a"},
		"another mode":  {Pattern: "/a", Mode: "off"},
		"no name":       {Pattern: "/a", Mode: mtls.ModeStrict, Name: "A"},
		"NUL in a name": {Pattern: "/a", Mode: mtls.ModeStrict, Name: "a\x00"},
	} {
		if _, err := f.SetMTLSPolicy(ctx, admin, spec); code(err) != "invalid_request" {
			t.Errorf("a policy with %s gives %v", name, err)
		}
	}
	for name, spec := range map[string]server.MTLSOverrideSpec{
		"no reason":          {Pattern: "/a"},
		"a reason of spaces": {Pattern: "/a", Reason: "  "},
		"two lines":          {Pattern: "/a", Reason: "a\nb"},
		"an escape sequence": {Pattern: "/a", Reason: "a\x1b[2J"},
		"a long reason":      {Pattern: "/a", Reason: strings.Repeat("a", 201)},
		"no UTF-8":           {Pattern: "/a", Reason: "\xff"},
		"another side":       {Pattern: "/a", Reason: "r", Side: "all"},
		"more than an hour":  {Pattern: "/a", Reason: "r", Duration: time.Hour + time.Second},
		"a time gone by":     {Pattern: "/a", Reason: "r", Duration: -time.Second},
		"no time at all":     {Pattern: "/a", Reason: "r", Duration: time.Nanosecond},
	} {
		if _, err := f.StartMTLSOverride(ctx, admin, spec); code(err) != "invalid_request" {
			t.Errorf("an override with %s gives %v", name, err)
		}
	}
	id := f.override(t, "/a", 0)
	for end, reason := range map[string]string{id: "", id + "\x00": "r", "none": "two\nlines"} {
		if _, err := f.EndMTLSOverride(ctx, admin, end, reason); code(err) != "invalid_request" {
			t.Errorf("the end of %q for %q gives %v", end, reason, err)
		}
	}
	if _, err := f.EndMTLSOverride(ctx, admin, "none", "r"); code(err) != "not_found" {
		t.Errorf("the end of none gives %v", err)
	}
	for _, who := range []string{"", "a", "spiffe://example.org", "spiffe://other.org/a", "spiffe://example.org/*"} {
		if _, err := f.EffectiveMTLS(ctx, admin, who); code(err) != "invalid_request" {
			t.Errorf("what holds for %q gives %v", who, err)
		}
	}
	for name, filter := range map[string]server.MTLSReadinessFilter{
		"less than a minute": {For: time.Minute - 1}, "more than a week": {For: mtls.Memory + 1}, "no time": {For: -1},
		"no pattern": {Pattern: "x"}, "a page too large": {PageSize: 1000}, "another token": {PageToken: "x"}, "half a token": {PageToken: workload},
	} {
		if _, err := f.ListMTLSReadiness(ctx, admin, filter); code(err) != "invalid_request" {
			t.Errorf("readiness with %s gives %v", name, err)
		}
	}
	for _, token := range []string{"x", "/a#B", "#a"} {
		if _, err := f.ListMTLSPolicies(ctx, admin, 0, token); code(err) != "invalid_request" {
			t.Errorf("the page after %q gives %v", token, err)
		}
	}
	if got := len(f.audits(t)); got != 1 {
		t.Errorf("%d audit rows: %v", got, f.audits(t))
	}
}

func TestEffectiveMTLSExplains(t *testing.T) {
	f, viewer := newFixture(t), administrator(policy.RoleViewer)
	f.setPolicy(t, "/**", mtls.ModePermissive)
	f.setPolicy(t, "/ns/*/web", mtls.ModeDisabled)
	id := f.override(t, "/ns/**", 0)
	e, err := f.EffectiveMTLS(t.Context(), viewer, workload)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(e.ID, " ", e.Rules[0].Pattern, " ", e.Overruled[0].Pattern, " ", e.Overrides[0].ID)
	if want := workload + " /ns/*/web /** " + id; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	own, err := f.EffectiveMTLS(t.Context(), viewer, "spiffe://example.org/pando/server")
	if err != nil || len(own.Rules)+len(own.Overruled)+len(own.Overrides) != 0 {
		t.Errorf("Pando itself has %+v, %v", own, err)
	}
}

// TestADryRunOfAnOverrideCounts those whom it would let plaintext in for, and starts nothing.
func TestADryRunOfAnOverrideCounts(t *testing.T) {
	f, operator := newFixture(t), administrator(policy.RoleOperator)
	for _, id := range []string{workload, workload + "/b", "spiffe://example.org/ns/b/web", "spiffe://example.org/pando/server"} {
		f.issue(t, administrator(policy.RoleAdmin), request(t, id))
	}
	gone := f.issue(t, operator, request(t, "spiffe://example.org/ns/a/gone"))
	if _, err := f.RevokeCertificate(t.Context(), operator, gone.Serial, server.ReasonSuperseded); err != nil {
		t.Fatal(err)
	}
	for pattern, want := range map[string]int{
		"/ns/a/web": 1, "/ns/*/web": 2, "/ns/a/**": 2, "/**": 3, "/ns/a/gone": 0, "/other/**": 0, "/ns/a/we": 0, "/zz": 0,
	} {
		o, err := f.StartMTLSOverride(t.Context(), operator, server.MTLSOverrideSpec{Pattern: pattern, Reason: "r", DryRun: true})
		if err != nil {
			t.Fatal(err)
		}
		if o.Identities != want || o.More || !o.DryRun {
			t.Errorf("%s: %d identities, want %d; more: %t", pattern, o.Identities, want, o.More)
		}
	}
	if all, err := f.ListMTLSOverrides(t.Context(), operator, true); err != nil || len(all) != 0 {
		t.Errorf("dry runs have started %v, %v", all, err)
	}
}

func TestOverridesAreListedAndEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, ctx, operator := newFixture(t), t.Context(), administrator(policy.RoleOperator)
		first := f.override(t, "/a", 10*time.Minute)
		time.Sleep(time.Minute)
		second := f.override(t, "/b", 0)
		look := func(what string, all bool, want ...string) {
			t.Helper()
			rows, err := f.ListMTLSOverrides(ctx, operator, all)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range rows {
				got = append(got, r.ID)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		look("two", false, second, first)
		time.Sleep(9 * time.Minute)
		look("one has expired", false, second)
		for range 2 {
			ended, err := f.EndMTLSOverride(ctx, operator, second, "it works again")
			if err != nil || ended.EndedBy != "ci operator" || ended.EndReason != "it works again" {
				t.Errorf("ended: %+v, %v", ended, err)
			}
			time.Sleep(time.Second)
		}
		look("the other was ended", false)
		look("all", true, second, first)
		want := []string{"mtls_override.start " + first + " by ci operator", "mtls_override.start " + second + " by ci operator", "mtls_override.end " + second + " by ci operator"}
		if diff := cmp.Diff(want, f.audits(t)); diff != "" {
			t.Errorf("audit (-want +got):\n%s", diff)
		}
	})
}

func TestThereAreOnlySoManyOverrides(t *testing.T) {
	f := newFixture(t)
	for range store.MaxMTLSOverrides {
		f.override(t, "/a", 0)
	}
	_, err := f.StartMTLSOverride(t.Context(), administrator(policy.RoleOperator), server.MTLSOverrideSpec{Pattern: "/a", Reason: "r"})
	if code(err) != "refused" {
		t.Errorf("one more gives %v", err)
	}
}

// TestAServiceWithoutMTLS keeps nothing, and says so.
func TestAServiceWithoutMTLS(t *testing.T) {
	f := newFixture(t, func(cfg *server.Config) { cfg.MTLS = nil })
	holder := f.peer(t, f.issue(t, f.enrol(t), request(t)))
	for op, do := range mtlsOperations(f) {
		caller, want := administrator(policy.RoleAdmin), "not_found"
		switch op {
		case server.OpReportMTLS:
			caller = holder
		case server.OpListMTLSPolicies, server.OpListMTLSOverrides, server.OpListMTLSReadiness, server.OpGetEffectiveMTLS:
			want = ""
		}
		if got := code(do(caller)); got != want {
			t.Errorf("%s gives %q, want %q", op, got, want)
		}
	}
	if got, err := f.Trust(t.Context(), holder, server.Known{MTLS: new(string)}, 0); err != nil || got.MTLS != nil {
		t.Errorf("a poll is told %+v, %v", got, err)
	}
}

// brokenMTLS is a store whose reading of policies can fail.
type brokenMTLS struct {
	server.MTLSStore
	away atomic.Bool
}

func (s *brokenMTLS) MTLSVersion(ctx context.Context) (uint64, error) {
	if s.away.Load() {
		return 0, errAway
	}
	return s.MTLSStore.MTLSVersion(ctx)
}

var errAway = errors.Join(errors.New("connection refused"), store.ErrUnavailable)
