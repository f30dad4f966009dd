// Package prom exports what happens in a [client.Source] to Prometheus:
//
//	metrics := prom.New()
//	prometheus.MustRegister(metrics)
//	source, err := client.Open(ctx, client.Config{…, Metrics: metrics})
//	…
//	metrics.Watch(source)
//
// The names begin with pando_client_ and are the same in every program; docs/metrics.md lists them.
// Counters are there from New on, so that a start that fails is seen; what is read from the Source
// from Watch on. Times are absolute, and no series is there before its value is: a certificate that
// has not come has not expired in 1970. Labels hold words of closed sets and the names that the
// program gave to its listeners; an ordinary program has less than 30 series.
//
// A program with several Sources has a Metrics for each, and a label to tell them apart:
//
//	prometheus.WrapRegistererWith(prometheus.Labels{"identity": "web"}, registry).MustRegister(metrics)
package prom
