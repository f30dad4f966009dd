package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pando-ca/pando/rotation"
)

// roleCollector reads how far the rotation of each role has come.
type roleCollector struct {
	roles                         Roles
	due, phase, entered, deadline *prometheus.Desc
}

func newRoleCollector(roles Roles) *roleCollector {
	return &roleCollector{
		roles:    roles,
		due:      desc("rotation_due_timestamp_seconds", "When the next step of a rotation is due.", "role"),
		phase:    desc("rotation_phase", "Whether the rotation of a role is in a phase (0 or 1).", "role", "phase"),
		entered:  desc("rotation_phase_entered_timestamp_seconds", "When the phase that a role is in began.", "role"),
		deadline: desc("rotation_phase_deadline_seconds", "How long the phase that a role is in takes at most, if all goes well.", "role"),
	}
}

// Describe implements [prometheus.Collector].
func (c *roleCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.due, c.phase, c.entered, c.deadline} {
		out <- d
	}
}

// Collect implements [prometheus.Collector]. A phase without an end has no deadline.
func (c *roleCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for _, r := range c.roles.Roles() {
		role := string(r.Role)
		gauge(c.due, seconds(r.Due), role)
		for _, phase := range rotation.RolePhases() {
			gauge(c.phase, boolean(phase == r.Phase), role, phase)
		}
		gauge(c.entered, seconds(r.Entered), role)
		if r.Deadline > 0 {
			gauge(c.deadline, r.Deadline.Seconds(), role)
		}
	}
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
