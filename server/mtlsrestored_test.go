package server_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// restoredAgo is milestones of a database that was restored so long ago; 0: never.
type restoredAgo time.Duration

func (ago restoredAgo) Milestone(_ context.Context, name string) (time.Time, time.Duration, error) {
	if name != store.MilestoneRestore || ago == 0 {
		return time.Time{}, 0, store.ErrNotFound
	}
	return time.Now().Add(-time.Duration(ago)), time.Duration(ago), nil
}

// TestReadinessAfterARestore: plaintext that was reported after the backup is forgotten, so nobody
// is ready by what was seen before the restore.
func TestReadinessAfterARestore(t *testing.T) {
	f := newFixture(t)
	f.observe(t, workload, "default", "1", nil) // since two days
	for ago, want := range map[time.Duration]string{
		0:              "/ns/a/web default []",
		time.Hour:      "/ns/a/web default [not_observed]",
		23 * time.Hour: "/ns/a/web default [not_observed]",
		25 * time.Hour: "/ns/a/web default []",
	} {
		r := f.replica(t, func(cfg *server.Config) { cfg.Milestones = restoredAgo(ago) })
		page, err := r.ListMTLSReadiness(t.Context(), administrator(policy.RoleViewer), server.MTLSReadinessFilter{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{want}, readiness(page)); diff != "" {
			t.Errorf("restored %s ago (-want +got):\n%s", ago, diff)
		}
	}
}
