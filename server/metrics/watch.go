package metrics

import (
	"crypto/x509"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/mtls"
	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/server"
)

// Trust knows the current authorities; *server.Service does.
type Trust interface {
	// Set is the current generation; never nil.
	Set() *ca.Set
}

// Jobs knows what recurs; *rotation.Scheduler does.
type Jobs interface {
	Status(now time.Time) []rotation.Status
}

// Leader knows whether this replica leads the rotation; *rotation.Rotator does.
type Leader interface {
	Status() rotation.RotatorStatus
}

// Fleet knows what the fleet looked like when it was counted last; *server.Service does.
type Fleet interface {
	// Figures is nil when that is not known, or too long ago.
	Figures() *server.Figures
}

// Roles knows how far the rotation has come, in the same way on all replicas.
type Roles interface {
	// Roles is nil when that is not known.
	Roles() []rotation.RoleStatus
}

// Overrides knows what lets plaintext in; *server.Service does.
type Overrides interface {
	// MTLSOverridesInForce reports false until this replica has read them.
	MTLSOverridesInForce() ([]mtls.Override, bool)
}

// CRLs knows how fresh the CRLs are; *rotation.Publisher does.
type CRLs interface {
	Status() []rotation.CRLStatus
}

// Sources is what is read at each scrape. Fields that are nil are left out.
type Sources struct {
	Trust   Trust
	Jobs    Jobs
	Leader  Leader
	Roles   Roles
	Fleet   Fleet
	CRLs    CRLs
	Serving func() *x509.Certificate // the certificate that the doors show now; may return nil
	Backup  func() time.Time         // when the last good backup was made; zero: none is known

	Overrides Overrides
}

// Watch adds what is read at each scrape. It is called once, before the first scrape.
func (m *Metrics) Watch(s Sources) {
	if s.Trust != nil {
		m.registry.MustRegister(newTrustCollector(s.Trust))
	}
	if s.Jobs != nil {
		m.registry.MustRegister(newJobCollector(s.Jobs))
	}
	if s.Leader != nil {
		m.registry.MustRegister(newLeaderGauge(s.Leader))
	}
	if s.Roles != nil {
		m.registry.MustRegister(newRoleCollector(s.Roles))
	}
	if s.Fleet != nil {
		m.registry.MustRegister(newFleetCollector(s.Fleet, m.profiles))
		m.registry.MustRegister(newSpreadCollector(s.Fleet))
	}
	if s.CRLs != nil {
		m.registry.MustRegister(newCRLCollector(s.CRLs))
	}
	if s.Backup != nil {
		m.registry.MustRegister(newBackupCollector(s.Backup))
	}
	if s.Overrides != nil {
		m.registry.MustRegister(newOverrideCollector(s.Overrides))
	}
	if s.Serving != nil {
		m.registry.MustRegister(servingCollector{s.Serving})
	}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

// seconds is a time as Prometheus writes it.
func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

func notBeforeDesc() *prometheus.Desc {
	return desc("authority_not_before_timestamp_seconds", "Start of the validity of an authority, or of the serving certificate.",
		"role", "state", "authority")
}

func notAfterDesc() *prometheus.Desc {
	return desc("authority_not_after_timestamp_seconds", "End of the validity of an authority, or of the serving certificate.",
		"role", "state", "authority")
}

// trustCollector reads the authorities and the bundle.
type trustCollector struct {
	trust                              Trust
	notBefore, notAfter                *prometheus.Desc
	sequence, authorities, publishedAt *prometheus.Desc
}

func newTrustCollector(trust Trust) *trustCollector {
	return &trustCollector{
		trust: trust, notBefore: notBeforeDesc(), notAfter: notAfterDesc(),
		sequence:    desc("bundle_sequence", "Sequence of the trust bundle, which changes whenever its contents do."),
		authorities: desc("bundle_authorities", "Roots in the trust bundle."),
		publishedAt: desc("bundle_published_timestamp_seconds", "When the trust bundle was published."),
	}
}

// Describe implements [prometheus.Collector]. The collector is unchecked: the series of
// authorities are shared with servingCollector.
func (c *trustCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (c *trustCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	set := c.trust.Set()
	for _, a := range set.Authorities() {
		if !a.State().Published() { // retired and revoked ones are nobody's concern
			continue
		}
		labels := []string{string(a.Role()), string(a.State()), a.ID()}
		gauge(c.notBefore, seconds(a.Certificate().NotBefore), labels...)
		gauge(c.notAfter, seconds(a.Certificate().NotAfter), labels...)
	}
	gauge(c.sequence, float64(set.Sequence()))
	gauge(c.authorities, float64(len(set.Roots())))
	gauge(c.publishedAt, seconds(set.PublishedAt()))
}

// servingCollector reads the certificate that the doors show. It has no authority label:
// each renewal would begin new series.
type servingCollector struct{ certificate func() *x509.Certificate }

// Describe implements [prometheus.Collector]; see trustCollector.
func (c servingCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements [prometheus.Collector].
func (c servingCollector) Collect(out chan<- prometheus.Metric) {
	cert := c.certificate()
	if cert == nil {
		return
	}
	labels := []string{"serving", string(ca.StateActive), ""}
	out <- prometheus.MustNewConstMetric(notBeforeDesc(), prometheus.GaugeValue, seconds(cert.NotBefore), labels...)
	out <- prometheus.MustNewConstMetric(notAfterDesc(), prometheus.GaugeValue, seconds(cert.NotAfter), labels...)
}

// jobCollector reads what the scheduler did.
type jobCollector struct {
	jobs                      Jobs
	lastSuccess, period, runs *prometheus.Desc
}

func newJobCollector(jobs Jobs) *jobCollector {
	return &jobCollector{
		jobs:        jobs,
		lastSuccess: desc("scheduler_last_success_timestamp_seconds", "When a job last succeeded, since the process started.", "job"),
		period:      desc("scheduler_period_seconds", "Longest time between two runs of a job, by its schedule.", "job"),
		runs:        desc("scheduler_runs_total", "Runs of a job, by what became of them.", "job", "outcome"),
	}
}

// Describe implements [prometheus.Collector].
func (c *jobCollector) Describe(out chan<- *prometheus.Desc) {
	out <- c.lastSuccess
	out <- c.period
	out <- c.runs
}

// Collect implements [prometheus.Collector].
func (c *jobCollector) Collect(out chan<- prometheus.Metric) {
	for _, s := range c.jobs.Status(time.Now()) {
		out <- prometheus.MustNewConstMetric(c.period, prometheus.GaugeValue, s.Period.Seconds(), s.Name)
		if !s.LastSuccess.IsZero() {
			out <- prometheus.MustNewConstMetric(c.lastSuccess, prometheus.GaugeValue, seconds(s.LastSuccess), s.Name)
		}
		for outcome, n := range map[string]uint64{"succeeded": s.Succeeded, "failed": s.Failed, "skipped": s.Skipped} {
			out <- prometheus.MustNewConstMetric(c.runs, prometheus.CounterValue, float64(n), s.Name, outcome)
		}
	}
}

// crlCollector reads how fresh the CRLs are. An authority has no series before it has published all
// of its shards.
type crlCollector struct {
	crls                            CRLs
	thisUpdate, nextUpdate, entries *prometheus.Desc
}

func newCRLCollector(crls CRLs) *crlCollector {
	return &crlCollector{
		crls:       crls,
		thisUpdate: desc("crl_this_update_timestamp_seconds", "When the CRL of an authority was issued; of several shards, the earliest.", "authority"),
		nextUpdate: desc("crl_next_update_timestamp_seconds", "When the CRL of an authority ends; of several shards, the earliest.", "authority"),
		entries:    desc("crl_entries", "Certificates on the CRL of an authority, over all shards.", "authority"),
	}
}

// Describe implements [prometheus.Collector].
func (c *crlCollector) Describe(out chan<- *prometheus.Desc) {
	out <- c.thisUpdate
	out <- c.nextUpdate
	out <- c.entries
}

// Collect implements [prometheus.Collector].
func (c *crlCollector) Collect(out chan<- prometheus.Metric) {
	for _, s := range c.crls.Status() {
		out <- prometheus.MustNewConstMetric(c.thisUpdate, prometheus.GaugeValue, seconds(s.ThisUpdate), s.Authority)
		out <- prometheus.MustNewConstMetric(c.nextUpdate, prometheus.GaugeValue, seconds(s.NextUpdate), s.Authority)
		out <- prometheus.MustNewConstMetric(c.entries, prometheus.GaugeValue, float64(s.Entries), s.Authority)
	}
}

// newLeaderGauge is 1 on the replica that rotates. Over all replicas the sum is 1, but for the
// moments in which a lease changes hands.
func newLeaderGauge(l Leader) prometheus.GaugeFunc {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: namespace, Name: "scheduler_leader", Help: "Whether this replica leads the rotation (0 or 1).",
	}, func() float64 { return boolean(l.Status().Leader) })
}
