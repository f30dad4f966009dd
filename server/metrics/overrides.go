package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// overrideCollector shows what lets plaintext in now. It asks no database: all replicas follow
// the same rows.
type overrideCollector struct {
	overrides      Overrides
	count, expires *prometheus.Desc
}

func newOverrideCollector(overrides Overrides) *overrideCollector {
	return &overrideCollector{
		overrides: overrides,
		count:     desc("mtls_overrides", "mTLS overrides in force, which let plaintext in."),
		expires:   desc("mtls_override_expires_timestamp_seconds", "When the last of the mTLS overrides in force expires."),
	}
}

// Describe implements [prometheus.Collector].
func (c *overrideCollector) Describe(out chan<- *prometheus.Desc) {
	out <- c.count
	out <- c.expires
}

// Collect implements [prometheus.Collector].
func (c *overrideCollector) Collect(out chan<- prometheus.Metric) {
	inForce, known := c.overrides.MTLSOverridesInForce()
	if !known {
		return
	}
	out <- prometheus.MustNewConstMetric(c.count, prometheus.GaugeValue, float64(len(inForce)))
	var last time.Time
	for _, o := range inForce {
		if o.Expires.After(last) {
			last = o.Expires
		}
	}
	if !last.IsZero() {
		out <- prometheus.MustNewConstMetric(c.expires, prometheus.GaugeValue, seconds(last))
	}
}
