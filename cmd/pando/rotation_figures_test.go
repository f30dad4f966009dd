package main

import (
	"slices"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/store"
)

// checkStore looks up what the workloads have held, and what the rotation has left in the
// audit: each change happened once, whoever led. It tells how long the changes took to arrive.
func (d *rotating) checkStore(t *testing.T) {
	t.Helper()
	db := openPostgres(t, d.url)
	swaps := d.load.seen()
	held := make(map[string]bool)
	for _, s := range swaps {
		held[s.status.Serial] = true
	}
	for serial := range held {
		if _, err := db.Record(t.Context(), storeSerial(t, serial)); err != nil {
			t.Errorf("certificate %s: %v", serial, err)
		}
	}
	t.Logf("%d certificates were held, and all are in the store", len(held))

	audits, err := db.Audits(t.Context(), store.AuditFilter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(audits) // oldest first
	checkOnce(t, audits)
	for _, a := range audits {
		d.tell(t, a, swaps)
	}
}

// checkOnce finds changes that were made twice: every authority enters a state once.
func checkOnce(t *testing.T, audits []store.Audit) {
	t.Helper()
	type change struct{ action, target string }
	seen := make(map[change]string)
	for _, a := range audits {
		if a.Detail["generation"] == "" {
			continue // not a change of the authorities
		}
		c := change{a.Action, a.Target}
		if before, twice := seen[c]; twice {
			t.Errorf("%s of %s in generation %s and again in %s", a.Action, a.Target, before, a.Detail["generation"])
		}
		seen[c] = a.Detail["generation"]
	}
}

// tell logs a change, and how long it took until the workloads had it.
func (d *rotating) tell(t *testing.T, a store.Audit, swaps []swap) {
	t.Helper()
	root := a.Detail["role"] == string(ca.RoleRoot)
	at := d.load.elapsed(a.At)
	switch {
	case a.Action == "authority.activate" && !root:
		first, last := spread(swaps, a.At, func(s client.Status) bool { return s.Issuer == a.Target })
		t.Logf("%6.1fs  intermediate %s signs: the workloads had certificates by it after %.1f to %.1f s", at, a.Target, first.Seconds(), last.Seconds())
	case a.Action == "authority.activate" && root:
		t.Logf("%6.1fs  root %s is active", at, a.Target)
	case root && (a.Action == "authority.prepare" || a.Action == "authority.retire" || a.Action == "authority.revoke"):
		first, last := spread(swaps, a.At, func(s client.Status) bool { return s.BundleUpdated.After(a.At) })
		t.Logf("%6.1fs  %s of root %s: the workloads had the new bundle after %.2f to %.2f s", at, a.Action, a.Target, first.Seconds(), last.Seconds())
	}
}

// spread is how long after a moment the first and the last workload were as they should be.
func spread(swaps []swap, from time.Time, is func(client.Status) bool) (first, last time.Duration) {
	took := make(map[int]time.Duration)
	for _, s := range swaps {
		if _, known := took[s.workload]; !known && s.at.After(from) && is(s.status) {
			took[s.workload] = s.at.Sub(from)
		}
	}
	for _, after := range took {
		if first == 0 || after < first {
			first = after
		}
		last = max(last, after)
	}
	return first, last
}

func storeSerial(t *testing.T, text string) store.Serial {
	t.Helper()
	serial, err := ca.ParseSerial(text)
	if err != nil {
		t.Fatal(err)
	}
	return store.Serial(serial)
}
