package store

import (
	"cmp"
	"slices"
	"time"
)

// What is kept at most, so that the answer to one program is bounded whatever the patterns are.
const (
	MaxMTLSPolicies  = 5000
	MaxMTLSNames     = 99 // different names in policies, besides the empty one
	MaxMTLSOverrides = 20 // in force at once
)

// MTLSMemory is how long a report is kept past the end of the certificate that it came with.
const MTLSMemory = 7 * 24 * time.Hour

// MTLSPolicy is a rule of mutual TLS. Pattern and Name together are its key.
type MTLSPolicy struct {
	Pattern       string // of SPIFFE ID paths
	Name          string // of listeners and dialers; empty: all
	Mode          string
	PlaintextDial bool
	Version       uint64 // of the policies and overrides, as of its last change; set by the store
	UpdatedAt     time.Time
	UpdatedBy     string
}

// MTLSOverride lets plaintext in for a while.
type MTLSOverride struct {
	ID        string
	Pattern   string
	Name      string // empty: all
	Side      string
	Reason    string
	StartedAt time.Time
	StartedBy string
	ExpiresAt time.Time

	// What ended it by hand; zero: nothing has.
	EndedAt   time.Time
	EndedBy   string
	EndReason string
}

// InForce reports whether the override holds at now.
func (o *MTLSOverride) InForce(now time.Time) bool {
	return o.EndedAt.IsZero() && now.Before(o.ExpiresAt)
}

// MTLSOverrideFilter selects overrides.
type MTLSOverrideFilter struct {
	InForceAt time.Time // only those in force at this time; zero: all
	Limit     int       // required, 1 to 1000
}

// MTLSReport is what one instance of a program has seen on one listener. SPIFFEID, Listener and
// Instance together are its key.
type MTLSReport struct {
	SPIFFEID      string
	Listener      string
	Instance      string
	Mode          string
	Source        string // of the mode
	ObservedSince time.Time
	LastMTLS      time.Time // zero: none yet
	LastPlaintext time.Time // zero: none yet
	ReportedAt    time.Time
	NotAfter      time.Time // of the certificate that it was reported with
}

// MTLSReportKey is the place of a report in a listing.
type MTLSReportKey struct{ SPIFFEID, Listener, Instance string }

// Key is what makes r unique.
func (r *MTLSReport) Key() MTLSReportKey { return MTLSReportKey{r.SPIFFEID, r.Listener, r.Instance} }

// Compare orders keys as listings do.
func (k MTLSReportKey) Compare(l MTLSReportKey) int {
	return cmp.Or(cmp.Compare(k.SPIFFEID, l.SPIFFEID), cmp.Compare(k.Listener, l.Listener), cmp.Compare(k.Instance, l.Instance))
}

// MTLSReportFilter selects reports by a range of SPIFFE IDs, in the order of their octets.
type MTLSReportFilter struct {
	First, Last string        // SPIFFE IDs, both included; required
	KeptAt      time.Time     // only those that are kept at this time; see MTLSMemory
	After       MTLSReportKey // the last one of the previous page; zero: none
	Limit       int           // required, 1 to 10 000
}

// Keeps is the time before which the certificate of a report that is kept at t has not ended.
func (f *MTLSReportFilter) Keeps() time.Time { return f.KeptAt.Add(-MTLSMemory) }

// MergeMTLSReports makes one report of several with one key: the last in the order given stands,
// with the latest of each time that one of them knows. They come out ordered by key. The stores
// call it: a statement touches a row once, and always in the same order.
func MergeMTLSReports(reports []MTLSReport) []MTLSReport {
	sorted := slices.SortedStableFunc(slices.Values(reports), func(a, b MTLSReport) int { return a.Key().Compare(b.Key()) })
	merged := sorted[:0]
	for _, r := range sorted {
		if n := len(merged); n > 0 && merged[n-1].Key() == r.Key() {
			before := merged[n-1]
			for _, t := range []struct {
				to   *time.Time
				from time.Time
			}{{&r.LastMTLS, before.LastMTLS}, {&r.LastPlaintext, before.LastPlaintext}, {&r.ReportedAt, before.ReportedAt}, {&r.NotAfter, before.NotAfter}} {
				if t.from.After(*t.to) {
					*t.to = t.from
				}
			}
			merged[n-1] = r
			continue
		}
		merged = append(merged, r)
	}
	return merged
}
