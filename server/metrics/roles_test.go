package metrics_test

import (
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/server/metrics"
)

// roles is a rotation that has come so far.
type roles []rotation.RoleStatus

func (r roles) Roles() []rotation.RoleStatus { return r }

func wholeRoles() roles {
	return roles{
		{Role: ca.RoleRoot, Phase: rotation.PhaseSpreading, Deadline: time.Hour},
		{Role: ca.RoleIntermediate, Phase: rotation.PhaseDraining, Deadline: time.Hour},
	}
}

func TestRolesAreReadAtEachScrape(t *testing.T) {
	at := time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)
	m := metrics.New(metrics.Config{})
	m.Watch(metrics.Sources{Roles: roles{
		{Role: ca.RoleRoot, Due: at.Add(time.Hour), Phase: rotation.PhaseSpreading, Entered: at, Deadline: 90 * time.Minute},
		{Role: ca.RoleIntermediate, Due: at.Add(2 * time.Hour), Phase: rotation.PhaseSigning, Entered: at},
	}})
	got, unix := scrape(t, m), float64(at.Unix())
	got.check(t, "pando_rotation_due_timestamp_seconds", map[string]float64{"role=root": unix + 3600, "role=intermediate": unix + 7200})
	got.check(t, "pando_rotation_phase", map[string]float64{
		"phase=signing role=root": 0, "phase=spreading role=root": 1, "phase=draining role=root": 0, "phase=replacing role=root": 0,
		"phase=signing role=intermediate": 1, "phase=spreading role=intermediate": 0, "phase=draining role=intermediate": 0, "phase=replacing role=intermediate": 0,
	})
	got.check(t, "pando_rotation_phase_entered_timestamp_seconds", map[string]float64{"role=root": unix, "role=intermediate": unix})
	got.check(t, "pando_rotation_phase_deadline_seconds", map[string]float64{"role=root": 5400})
}
