package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pando-ca/pando/server"
)

// fleetCollector shows the figures of the fleet: counts that one replica has made for all. It
// asks no database.
type fleetCollector struct {
	fleet                                 Fleet
	profiles                              closed
	identities, live, earliest, remaining *prometheus.Desc
}

func newFleetCollector(fleet Fleet, profiles closed) *fleetCollector {
	return &fleetCollector{
		fleet: fleet, profiles: profiles,
		identities: desc("identities", "SPIFFE IDs by the state of their newest certificate.", "profile", "state"),
		live:       desc("live_certificates", "Certificates that are neither expired nor revoked.", "profile", "authority"),
		earliest:   desc("earliest_not_after_timestamp_seconds", "When the first of the identities' newest certificates ends.", "profile"),
		remaining:  desc("identity_remaining_lifetime_ratio", "How much of its lifetime the newest certificate of an identity has left, of all identities now."),
	}
}

// Describe implements [prometheus.Collector].
func (c *fleetCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.identities, c.live, c.earliest, c.remaining} {
		out <- d
	}
}

// Collect implements [prometheus.Collector]. Profiles that this replica does not know share
// one series.
func (c *fleetCollector) Collect(out chan<- prometheus.Metric) {
	figures := c.fleet.Figures()
	if figures == nil {
		return
	}
	identities, live, earliest := make(map[[2]string]float64), make(map[[2]string]float64), make(map[string]float64)
	for _, i := range figures.Identities {
		identities[[2]string{c.profiles.label(i.Profile), string(i.State)}] += float64(i.Count)
	}
	for _, l := range figures.Live {
		live[[2]string{c.profiles.label(l.Profile), l.Issuer}] += float64(l.Certificates)
	}
	for _, e := range figures.Earliest {
		profile, at := c.profiles.label(e.Profile), seconds(e.NotAfter)
		if before, ok := earliest[profile]; !ok || at < before {
			earliest[profile] = at
		}
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for labels, n := range identities {
		gauge(c.identities, n, labels[:]...)
	}
	for labels, n := range live {
		gauge(c.live, n, labels[:]...)
	}
	for profile, at := range earliest {
		gauge(c.earliest, at, profile)
	}
	count, buckets := remainingBuckets(figures)
	out <- prometheus.MustNewConstHistogram(c.remaining, count, figures.RemainingSum, buckets)
}

// remainingBuckets is the counts as Prometheus has them, each with those before it.
func remainingBuckets(f *server.Figures) (count uint64, buckets map[float64]uint64) {
	buckets = make(map[float64]uint64, len(f.Remaining))
	for i, n := range f.Remaining {
		count += uint64(n)
		buckets[float64(i+1)/server.RemainingSteps] = count
	}
	return count, buckets
}
