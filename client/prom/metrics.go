package prom

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pando-ca/pando/client"
)

const (
	namespace = "pando_client"

	// maxListeners is how many names of listeners are labels. Further ones are "other": names
	// are the program's, and a slip there must not cost a time series for each connection.
	maxListeners = 64

	none  = "none"  // a reason where there is none
	other = "other" // a value that is not known here, as from a newer client

	success = "success"
	failure = "failure"
)

// Source is what is read when Prometheus asks; a [client.Source] is one.
type Source interface {
	// Status returns the state of the identity.
	Status() client.Status
	// Listeners returns the state of the listeners, one for each name.
	Listeners() []client.ListenerStatus
}

// Metrics counts for one Source, as its [client.Config.Metrics], and is the collector that the
// program registers. It is safe for concurrent use, and what the Source calls does not block.
type Metrics struct {
	source   atomic.Pointer[Source]
	failures atomic.Int64 // tries to obtain a certificate, since the last that succeeded
	state    state

	renewals   *prometheus.CounterVec
	handshakes *prometheus.CounterVec
	durations  *prometheus.HistogramVec
	accepted   *prometheus.CounterVec
	rejected   *prometheus.CounterVec
	dialed     *prometheus.CounterVec

	mu    sync.Mutex // guards names
	names map[string]bool
}

var (
	_ client.Metrics       = (*Metrics)(nil)
	_ prometheus.Collector = (*Metrics)(nil)
)

// New returns Metrics that have seen nothing yet. It registers nothing.
func New() *Metrics {
	m := &Metrics{
		state: newState(), names: make(map[string]bool),
		renewals:   counter("renewals_total", "Tries to obtain a certificate.", "result"),
		handshakes: counter("tls_handshakes_total", "TLS handshakes that ended.", "side", "result", "reason"),
		accepted:   counter("connections_accepted_total", "Connections that a listener has accepted.", "listener", "security"),
		rejected:   counter("connections_rejected_total", "Connections that a listener has turned away.", "listener", "reason"),
		dialed:     counter("connections_dialed_total", "Connections that a dialer has opened.", "mode", "security"),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "tls_handshake_duration_seconds", Help: "Time that TLS handshakes took which succeeded.",
			// Few, for the sake of the number of series: near, far, and in trouble. Who
			// scrapes native histograms has the detail.
			Buckets:                        []float64{0.01, 0.1, 1},
			NativeHistogramBucketFactor:    1.1,
			NativeHistogramMaxBucketNumber: 50, NativeHistogramMinResetDuration: time.Hour,
		}, []string{"side"}),
	}
	for _, result := range []string{success, failure} {
		m.renewals.WithLabelValues(result)
	}
	return m
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
}

// Watch has the state of a Source exported from now on, instead of that of any before.
func (m *Metrics) Watch(source Source) { m.source.Store(&source) }

// Renewal implements [client.Metrics].
func (m *Metrics) Renewal(err error) {
	if err != nil {
		m.failures.Add(1)
		m.renewals.WithLabelValues(failure).Inc()
		return
	}
	m.failures.Store(0)
	m.renewals.WithLabelValues(success).Inc()
}

// Handshake implements [client.Metrics].
func (m *Metrics) Handshake(h client.Handshake) {
	side := known(h.Side, client.SideServer, client.SideClient)
	if h.Reason != "" {
		m.handshakes.WithLabelValues(side, failure, known(h.Reason, client.Reasons()...)).Inc()
		return
	}
	m.handshakes.WithLabelValues(side, success, none).Inc()
	if h.Duration > 0 {
		m.durations.WithLabelValues(side).Observe(h.Duration.Seconds())
	}
}

// Connection implements [client.Metrics].
func (m *Metrics) Connection(c client.Connection) {
	security := known(c.Security, client.SecurityMTLS, client.SecurityTLS, client.SecurityPlaintext)
	switch {
	case c.Side == client.SideServer && c.Rejected != "":
		m.rejected.WithLabelValues(m.listener(c.Name), known(c.Rejected, client.Rejections()...)).Inc()
	case c.Side == client.SideServer:
		m.accepted.WithLabelValues(m.listener(c.Name), security).Inc()
	case c.Rejected == "":
		m.dialed.WithLabelValues(known(c.Mode, client.ModeMutual, client.ModeSimple, client.ModeDisabled), security).Inc()
	}
}

// listener is the label for a listener: its name, unless there are too many.
func (m *Metrics) listener(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.names[name]:
		return name
	case len(m.names) == maxListeners:
		return other
	}
	m.names[name] = true
	return name
}

// known is the label for a word of a closed set.
func known[T ~string](word T, set ...T) string {
	if slices.Contains(set, word) {
		return string(word)
	}
	return other
}
