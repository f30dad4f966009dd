package metrics

import (
	"log/slog"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/auth"
	"github.com/pando-ca/pando/store"
)

const namespace = "pando"

// Config configures [Metrics].
type Config struct {
	Profiles []policy.Profile // those of the service; none: the built-in ones
	Backend  string           // where the issuer's key is, such as "sealed"; empty: "sealed"

	TrustDomain string // of the CA; empty: not told

	Version  string // of the build
	Revision string // of the source that it was built from

	// Exemplars has durations name a trace, to a scraper that asks for OpenMetrics. It is for
	// servers that trace.
	Exemplars bool

	Log *slog.Logger // of failures while answering a scrape; none: discarded
}

// Metrics collects. It is safe for concurrent use, and its observing methods neither block
// nor allocate once a label value has been seen.
type Metrics struct {
	registry  *prometheus.Registry
	exemplars bool
	log       *slog.Logger

	profiles closed
	codes    closed
	methods  closed
	reasons  closed
	rules    closed

	signRequests *prometheus.CounterVec
	signDuration *prometheus.HistogramVec

	signer       prometheus.Observer
	signerErrors prometheus.Counter
	insert       prometheus.Observer
	insertErrors prometheus.Counter
	batchSize    prometheus.Observer
	shedQueue    prometheus.Counter
	shedRate     prometheus.Counter

	authnFailures *children[authnFailure, prometheus.Counter]
	denials       *children[denial, prometheus.Counter]
	revocations   map[server.Reason]prometheus.Counter
}

var (
	_ server.Observer     = (*Metrics)(nil)
	_ auth.Observer       = (*Metrics)(nil)
	_ store.BatchObserver = (*Metrics)(nil)
)

// authnFailure is the labels of a failed authentication.
type authnFailure struct{ method, reason string }

// denial is the labels of a denial by policy.
type denial struct{ profile, reason string }

// New returns collectors on a registry of their own. What is read at each scrape is added by
// Watch, once it is there.
func New(cfg Config) *Metrics {
	if len(cfg.Profiles) == 0 {
		cfg.Profiles = policy.Profiles()
	}
	if cfg.Backend == "" {
		cfg.Backend = "sealed"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(), exemplars: cfg.Exemplars, log: cfg.Log,
		profiles: make(closed), codes: codes(), methods: methods(), reasons: reasons(), rules: rules(),
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.describeBuild(cfg)
	m.describeProfiles(cfg.Profiles)
	m.countRequests()
	m.countSigning(cfg.Backend)
	m.countStore()
	m.countRefusals()
	m.countRevocations()
	return m
}

// Handler answers scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(m.log.Handler(), slog.LevelError),
		Registry: m.registry,
		// Only this format has exemplars. It writes the bounds of buckets in another way, "1.0" for
		// "1", which is why it is not what everybody gets.
		EnableOpenMetrics: m.exemplars,
	})
}

// Signed implements [server.Observer].
func (m *Metrics) Signed(d time.Duration, err error) {
	m.signer.Observe(d.Seconds())
	if err != nil {
		m.signerErrors.Inc()
	}
}

// Denied implements [server.Observer].
func (m *Metrics) Denied(profile string, rule policy.Rule) {
	m.denials.of(denial{m.profiles.label(profile), m.rules.label(string(rule))}).Inc()
}

// Revoked implements [server.Observer].
func (m *Metrics) Revoked(reason server.Reason, n int) {
	if counter := m.revocations[reason]; counter != nil { // others are refused
		counter.Add(float64(n))
	}
}

// AuthnFailed implements [auth.Observer].
func (m *Metrics) AuthnFailed(method policy.Method, reason auth.Reason) {
	m.authnFailures.of(authnFailure{m.methods.label(string(method)), m.reasons.label(string(reason))}).Inc()
}

// Committed implements [store.BatchObserver].
func (m *Metrics) Committed(size int, took time.Duration, err error) {
	m.batchSize.Observe(float64(size))
	m.insert.Observe(took.Seconds())
	if err != nil {
		m.insertErrors.Inc()
	}
}

// Shed implements [store.BatchObserver].
func (m *Metrics) Shed(n int) { m.shedQueue.Add(float64(n)) }

func (m *Metrics) describeBuild(cfg Config) {
	info := m.gauge("build_info", "Always 1; which build this is.", "version", "revision", "goversion")
	info.WithLabelValues(cfg.Version, cfg.Revision, runtime.Version()).Set(1)
	domain := m.gauge("trust_domain_info", "Always 1; whose CA this is.", "trust_domain")
	if cfg.TrustDomain != "" {
		domain.WithLabelValues(cfg.TrustDomain).Set(1)
	}
}

func (m *Metrics) describeProfiles(profiles []policy.Profile) {
	var longest time.Duration
	for _, p := range profiles {
		m.profiles[p.Name] = true
		longest = max(longest, p.MaxDuration)
	}
	m.gauge("max_leaf_lifetime_seconds", "Longest validity that any profile allows.").
		WithLabelValues().Set(longest.Seconds())
}

func (m *Metrics) countRequests() {
	m.signRequests = m.counter("sign_requests_total",
		"Requests for a certificate (a batch is one), by the code of the answer.", "door", "profile", "code")
	m.signDuration = m.histogram("sign_duration_seconds",
		"Time from a request for a certificate to its answer.", requestBuckets(), "door")
	shed := m.counter("requests_shed_total",
		"Issuances refused because too many wait (queue), and requests refused by a rate limit (rate).", "reason")
	m.shedQueue, m.shedRate = shed.WithLabelValues(shedQueue), shed.WithLabelValues(shedRate)
}

func (m *Metrics) countSigning(backend string) {
	m.signer = m.histogram("signer_duration_seconds",
		"Time that one signature took, with its check.", signerBuckets(), "backend").WithLabelValues(backend)
	m.signerErrors = m.counter("signer_errors_total",
		"Signatures that failed, or did not verify.", "backend").WithLabelValues(backend)
}

func (m *Metrics) countStore() {
	m.insert = m.histogram("store_duration_seconds",
		"Time that one commit took.", requestBuckets(), "op").WithLabelValues("insert")
	m.insertErrors = m.counter("store_errors_total",
		"Commits that failed as a whole.", "op").WithLabelValues("insert")
	m.batchSize = m.histogram("store_batch_size",
		"Records in one commit.", prometheus.ExponentialBuckets(1, 2, 10)).WithLabelValues()
}

func (m *Metrics) countRefusals() {
	failures := m.counter("authn_failures_total", "Requests whose credentials were refused.", "method", "reason")
	m.authnFailures = newChildren(func(f authnFailure) prometheus.Counter {
		return failures.WithLabelValues(f.method, f.reason)
	})
	denials := m.counter("policy_denials_total", "Requests that policy denied.", "profile", "reason")
	m.denials = newChildren(func(d denial) prometheus.Counter {
		return denials.WithLabelValues(d.profile, d.reason)
	})
}

func (m *Metrics) countRevocations() {
	revocations := m.counter("revocations_total", "Certificates that this replica was asked to revoke, and did.", "reason")
	m.revocations = make(map[server.Reason]prometheus.Counter)
	for _, reason := range server.Reasons() {
		m.revocations[reason] = revocations.WithLabelValues(string(reason))
	}
}

// requestBuckets reach from a commit on a fast disk to the timeout of a request.
func requestBuckets() []float64 {
	return []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
}

// signerBuckets reach from a key in memory to a slow key management service.
func signerBuckets() []float64 {
	return []float64{.00005, .0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.registry.MustRegister(v)
	return v
}

func (m *Metrics) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: name, Help: help, Buckets: buckets,
	}, labels)
	m.registry.MustRegister(v)
	return v
}
