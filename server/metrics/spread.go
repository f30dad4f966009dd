package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pando-ca/pando/server"
)

// Values of the label sequence: how new the trust bundle is that a holder has acknowledged.
const (
	sequenceCurrent  = "current"
	sequencePrevious = "previous" // the one before
	sequenceOlder    = "older"
)

// spreadCollector shows, of the figures of the fleet, what has reached whom: the trust bundle, the
// successors of an incident, and those of the certificates that are watched one by one.
type spreadCollector struct {
	fleet                        Fleet
	acked                        *prometheus.Desc
	watchedBegin, watchedEnd     *prometheus.Desc
	incidentLeft, incidentToDate *prometheus.Desc
}

func newSpreadCollector(fleet Fleet) *spreadCollector {
	return &spreadCollector{
		fleet:          fleet,
		acked:          desc("bundle_acked_identities", "Live certificates whose holders follow, by the trust bundle that they have.", "sequence"),
		watchedBegin:   desc("certificate_not_before_timestamp_seconds", "Start of the newest certificate of an identity that is watched.", "spiffe_id"),
		watchedEnd:     desc("certificate_not_after_timestamp_seconds", "End of the newest certificate of an identity that is watched.", "spiffe_id"),
		incidentLeft:   desc("incident_remaining", "Certificates that an open incident has yet to replace.", "incident"),
		incidentToDate: desc("incident_deadline_timestamp_seconds", "When an open incident is to have replaced all.", "incident"),
	}
}

// Describe implements [prometheus.Collector].
func (c *spreadCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.acked, c.watchedBegin, c.watchedEnd, c.incidentLeft, c.incidentToDate} {
		out <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *spreadCollector) Collect(out chan<- prometheus.Metric) {
	figures := c.fleet.Figures()
	if figures == nil {
		return
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	if figures.Facts != nil {
		for sequence, n := range acknowledged(figures) {
			gauge(c.acked, float64(n), sequence)
		}
	}
	for _, w := range figures.Watched {
		gauge(c.watchedBegin, seconds(w.NotBefore), w.SPIFFEID)
		gauge(c.watchedEnd, seconds(w.NotAfter), w.SPIFFEID)
	}
	for _, i := range figures.Incidents {
		gauge(c.incidentLeft, float64(i.Left), i.ID)
		gauge(c.incidentToDate, seconds(i.Deadline), i.ID)
	}
}

// acknowledged counts followers by how new their bundle is. Sequences have no gaps.
func acknowledged(f *server.Figures) map[string]int {
	counts := map[string]int{sequenceCurrent: 0, sequencePrevious: 0, sequenceOlder: 0}
	for sequence, n := range f.Facts.Followers {
		switch {
		case sequence >= f.Sequence:
			counts[sequenceCurrent] += n
		case sequence+1 == f.Sequence:
			counts[sequencePrevious] += n
		default:
			counts[sequenceOlder] += n
		}
	}
	return counts
}
