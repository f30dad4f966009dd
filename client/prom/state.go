package prom

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// state describes what is read from the Source when Prometheus asks.
type state struct {
	notBefore, notAfter, renewalDue, failures *prometheus.Desc
	sequence, bundleUpdated                   *prometheus.Desc
	mode, overrideExpires, plaintextLastSeen  *prometheus.Desc
}

func newState() state {
	return state{
		notBefore:         desc("certificate_not_before_timestamp_seconds", "Start of the certificate's validity."),
		notAfter:          desc("certificate_not_after_timestamp_seconds", "End of the certificate's validity."),
		renewalDue:        desc("renewal_due_timestamp_seconds", "When the renewal of the certificate is due."),
		failures:          desc("renewal_consecutive_failures", "Tries to obtain a certificate that failed since the last success."),
		sequence:          desc("bundle_sequence", "Sequence of the trust bundle in use."),
		bundleUpdated:     desc("bundle_updated_timestamp_seconds", "When that trust bundle was adopted."),
		mode:              desc("mode", "Always 1; which mode the listener is in.", "listener", "mode"),
		overrideExpires:   desc("mode_override_expires_timestamp_seconds", "When the emergency override of the listener's mode ends.", "listener"),
		plaintextLastSeen: desc("plaintext_last_seen_timestamp_seconds", "When the listener has last accepted a connection in plaintext.", "listener"),
	}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+"_"+name, help, labels, nil)
}

// counted is what counts by itself.
func (m *Metrics) counted() []prometheus.Collector {
	return []prometheus.Collector{m.renewals, m.handshakes, m.durations, m.accepted, m.rejected, m.dialed}
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.counted() {
		c.Describe(ch)
	}
	s := &m.state
	for _, d := range []*prometheus.Desc{
		s.notBefore, s.notAfter, s.renewalDue, s.failures, s.sequence, s.bundleUpdated, s.mode, s.overrideExpires, s.plaintextLastSeen,
	} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.counted() {
		c.Collect(ch)
	}
	gauge(ch, m.state.failures, float64(m.failures.Load()))
	source := m.source.Load()
	if source == nil {
		return
	}
	status := (*source).Status()
	moment(ch, m.state.notBefore, status.NotBefore)
	moment(ch, m.state.notAfter, status.NotAfter)
	moment(ch, m.state.renewalDue, status.RenewalDue)
	moment(ch, m.state.bundleUpdated, status.BundleUpdated)
	if status.BundleSequence > 0 {
		gauge(ch, m.state.sequence, float64(status.BundleSequence))
	}
	listeners := (*source).Listeners()
	for _, l := range listeners[:min(len(listeners), maxListeners)] {
		gauge(ch, m.state.mode, 1, l.Name, string(l.Mode))
		moment(ch, m.state.plaintextLastSeen, l.LastPlaintext, l.Name)
		moment(ch, m.state.overrideExpires, l.OverrideExpires, l.Name)
	}
}

func gauge(ch chan<- prometheus.Metric, d *prometheus.Desc, value float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

// moment is a gauge of a time that is not zero.
func moment(ch chan<- prometheus.Metric, d *prometheus.Desc, t time.Time, labels ...string) {
	if !t.IsZero() {
		gauge(ch, d, float64(t.UnixMilli())/1000, labels...)
	}
}
