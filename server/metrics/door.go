package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/door"
)

// Door counts the requests of one door.
type Door struct {
	metrics  *Metrics
	duration prometheus.Observer
	requests *children[request, prometheus.Counter]
}

var _ door.Observer = (*Door)(nil)

// request is the labels of a request, besides the door.
type request struct{ profile, code string }

// Door returns the observer of a door. The name is a label: "rest" or "grpc".
func (m *Metrics) Door(name string) *Door {
	d := &Door{
		metrics:  m,
		duration: m.signDuration.WithLabelValues(name),
		requests: newChildren(func(r request) prometheus.Counter {
			return m.signRequests.WithLabelValues(name, r.profile, r.code)
		}),
	}
	// A rate misses the first increment of a counter that was not there before.
	for profile := range m.profiles {
		d.requests.of(request{profile, door.CodeOK})
	}
	return d
}

// Request implements [door.Observer]. Requests for a certificate are counted and timed; of
// the others only those that a rate limit refused. A trace becomes the example of its duration.
func (d *Door) Request(op server.Operation, profile, code string, took time.Duration, traceID string) {
	if code == codeRateLimited {
		d.metrics.shedRate.Inc()
	}
	if op != server.OpSign && op != server.OpRenew {
		return
	}
	if exemplars, ok := d.duration.(prometheus.ExemplarObserver); ok && traceID != "" {
		exemplars.ObserveWithExemplar(took.Seconds(), prometheus.Labels{"trace_id": traceID})
	} else {
		d.duration.Observe(took.Seconds())
	}
	d.requests.of(request{d.metrics.profiles.label(profile), d.metrics.codes.label(code)}).Inc()
}
