package agent

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Labels: both are closed sets, the names in the configuration.
const (
	identityLabel = "identity"
	hookLabel     = "hook"
	resultLabel   = "result" // success or failure
)

func clientDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("pando_client_"+name, help, append([]string{identityLabel}, labels...), nil)
}

// descs are the metrics of an agent. Those of the client library have the names that it has in
// every program. No series exists before its value does: a certificate that is not there has
// not expired in 1970.
type descs struct {
	notBefore, notAfter, due, renewals, failures, sequence, bundleUpdated *prometheus.Desc
	published, hookRuns, hookFailures                                     *prometheus.Desc
}

func newDescs() *descs {
	return &descs{
		notBefore:     clientDesc("certificate_not_before_timestamp_seconds", "Start of the certificate's validity."),
		notAfter:      clientDesc("certificate_not_after_timestamp_seconds", "End of the certificate's validity."),
		due:           clientDesc("renewal_due_timestamp_seconds", "When the renewal of the certificate is due."),
		renewals:      clientDesc("renewals_total", "Tries to obtain a certificate.", resultLabel),
		failures:      clientDesc("renewal_consecutive_failures", "Tries to obtain a certificate that failed since the last success."),
		sequence:      clientDesc("bundle_sequence", "Sequence of the trust bundle in use."),
		bundleUpdated: clientDesc("bundle_updated_timestamp_seconds", "When that trust bundle was adopted."),
		published: prometheus.NewDesc("pando_agent_published_not_after_timestamp_seconds",
			"End of the validity of the certificate in the files.", []string{identityLabel}, nil),
		hookRuns: prometheus.NewDesc("pando_agent_hook_runs_total",
			"Runs of a hook.", []string{hookLabel, resultLabel}, nil),
		hookFailures: prometheus.NewDesc("pando_agent_hook_consecutive_failures",
			"Runs of a hook that failed since the last success.", []string{hookLabel}, nil),
	}
}

// collector reads the metrics of an agent when they are asked for.
type collector struct {
	agent *Agent
	descs *descs
}

// Collector returns the metrics of the agent, to be registered by the program.
func (a *Agent) Collector() prometheus.Collector { return &collector{a, newDescs()} }

// Describe implements [prometheus.Collector].
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	d := c.descs
	for _, desc := range []*prometheus.Desc{
		d.notBefore, d.notAfter, d.due, d.renewals, d.failures, d.sequence, d.bundleUpdated,
		d.published, d.hookRuns, d.hookFailures,
	} {
		ch <- desc
	}
}

// Collect implements [prometheus.Collector].
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	for _, k := range c.agent.keepers {
		c.collectIdentity(ch, k)
	}
	for _, h := range c.agent.hooks {
		h.mu.Lock()
		runs := h.runs
		h.mu.Unlock()
		counted(ch, c.descs.hookRuns, runs, h.cfg.Name)
		gauge(ch, c.descs.hookFailures, float64(runs.failures), h.cfg.Name)
	}
}

func (c *collector) collectIdentity(ch chan<- prometheus.Metric, k *keeper) {
	k.mu.Lock()
	defer k.mu.Unlock()
	name := k.cfg.Name
	counted(ch, c.descs.renewals, k.attempts, name)
	gauge(ch, c.descs.failures, float64(k.attempts.failures), name)
	moment(ch, c.descs.published, k.published, name)
	if k.source == nil {
		return
	}
	status := k.source.Status()
	moment(ch, c.descs.notBefore, status.NotBefore, name)
	moment(ch, c.descs.notAfter, status.NotAfter, name)
	moment(ch, c.descs.due, status.RenewalDue, name)
	moment(ch, c.descs.bundleUpdated, status.BundleUpdated, name)
	if status.BundleSequence > 0 {
		gauge(ch, c.descs.sequence, float64(status.BundleSequence), name)
	}
}

func gauge(ch chan<- prometheus.Metric, desc *prometheus.Desc, value float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}

// moment is a gauge of a time that is not zero.
func moment(ch chan<- prometheus.Metric, desc *prometheus.Desc, t time.Time, labels ...string) {
	if !t.IsZero() {
		gauge(ch, desc, float64(t.UnixMilli())/1000, labels...)
	}
}

// counted is two counters, by result.
func counted(ch chan<- prometheus.Metric, desc *prometheus.Desc, o outcomes, name string) {
	for result, n := range map[string]uint64{"success": o.succeeded, "failure": o.failed} {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(n), name, result)
	}
}
