package server_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// TestOverview: what is not counted is not said, and what is counted is said as it was.
func TestOverview(t *testing.T) {
	deadline := time.Now().Add(time.Hour)
	f := newFixture(t, func(c *server.Config) {
		c.Incidents, c.Jobs, c.Audits = openIncident{deadline}, &jobs{}, c.Fleet.(store.Audits)
	})
	look := func() *server.Overview {
		t.Helper()
		o, err := f.Overview(t.Context(), administrator(policy.RoleViewer), 0)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	cfg := f.pki.SetConfig()
	cfg.Generation++
	cfg.Incidents = []ca.Incident{{ID: "open", Start: deadline.Add(-time.Hour), Deadline: deadline, Rate: 1, Total: 9}}
	set, err := ca.NewSet(cfg, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	f.adopt(t, set)
	before := look()
	if !before.CountedAt.IsZero() || before.Profiles != nil || before.Live != 0 || len(before.Incidents) != 1 || before.Incidents[0].Counted {
		t.Errorf("before anybody has counted: %+v", before)
	}
	f.signed(t, "spiffe://example.org/a", time.Hour)
	f.signed(t, "spiffe://example.org/b", time.Hour)
	if err := f.store.AppendAudit(t.Context(), store.Audit{At: time.Now(), Actor: "a", Action: "b"}); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if err := f.RefreshFigures(t.Context(), store.Fence{}, now); err != nil {
		t.Fatal(err)
	}
	after := look()
	if !after.CountedAt.Equal(now) || after.Live != 2 || after.Recent != 2 || after.Issued-before.Issued != 2 || after.Generation != cfg.Generation {
		t.Errorf("after: %+v", after)
	}
	if len(after.Audits) != 1 || after.Audits[0].Actor != "a" {
		t.Errorf("audit: %+v", after.Audits)
	}
	wanted := []server.IncidentOverview{{ID: "open", StartsAt: deadline.Add(-time.Hour), Deadline: deadline, Rate: 1, Total: 9, Left: 3, Counted: true}}
	if diff := cmp.Diff(wanted, after.Incidents); diff != "" {
		t.Errorf("incidents (-want +got):\n%s", diff)
	}
	live := 0
	for _, p := range after.Profiles {
		live += p.Live
		if p.Live > 0 && p.Earliest.IsZero() {
			t.Errorf("profile without an end: %+v", p)
		}
	}
	if live != 2 {
		t.Errorf("profiles: %+v", after.Profiles)
	}
}

// failingJobs is a schedule in which one job fails.
type failingJobs struct{}

func (failingJobs) Status(time.Time) []server.JobStatus {
	return []server.JobStatus{{Name: "rotate", Succeeded: 1}, {Name: "crls", Failed: 1, LastError: "no"}}
}

func (failingJobs) RunNow(context.Context, string) error { return nil }

func TestOverviewNamesTheJobsThatFail(t *testing.T) {
	f := newFixture(t, func(c *server.Config) { c.Jobs = failingJobs{} })
	o, err := f.Overview(t.Context(), administrator(policy.RoleViewer), 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.Failing) != 1 || o.Failing[0].Name != "crls" {
		t.Errorf("failing: %+v", o.Failing)
	}
}
