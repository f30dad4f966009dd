package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// backupCollector tells when the last good backup was made. Where none ever was, there is no series.
type backupCollector struct {
	last    func() time.Time
	success *prometheus.Desc
}

func newBackupCollector(last func() time.Time) *backupCollector {
	return &backupCollector{last, desc("backup_last_success_timestamp_seconds", "When the last good backup was made, by the job or by hand.")}
}

// Describe implements [prometheus.Collector].
func (c *backupCollector) Describe(out chan<- *prometheus.Desc) { out <- c.success }

// Collect implements [prometheus.Collector].
func (c *backupCollector) Collect(out chan<- prometheus.Metric) {
	if at := c.last(); !at.IsZero() {
		out <- prometheus.MustNewConstMetric(c.success, prometheus.GaugeValue, seconds(at))
	}
}
