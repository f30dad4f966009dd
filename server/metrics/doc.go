// Package metrics is what Prometheus sees of a server. All collectors hang on one registry,
// which is the package's own, and not the global one of the Prometheus client.
//
// Three kinds of facts come together here:
//
//   - events, told by the packages that they happen in, each through an interface that it
//     declares: [Metrics] is the observer of server.Service, of auth.Authenticator and of
//     store.Batcher, and [Metrics.Door] gives one to each door;
//   - the authorities and the trust bundle, how far their rotation has come, and the figures of
//     the fleet, read from memory at each scrape;
//   - what the scheduler did, read from it at each scrape.
//
// Names and labels follow docs/metrics.md. A label has a closed set of values, which is made
// here and nowhere else: a profile that is not configured, a code or a reason that this
// package does not know is counted as "other", so that nobody outside can make a series. A
// series does not exist before its value does: a scheduler job that has never succeeded has
// no time of its last success, because 0 would look like 1970 to an alert.
package metrics
