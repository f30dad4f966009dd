package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pando-ca/pando/store"
)

func testRevocationLog(t *testing.T, a, b Store) {
	ctx := t.Context()
	sequence := func(s Store) uint64 {
		t.Helper()
		n, err := s.RevocationSequence(ctx)
		must(t, err)
		return n
	}
	wantSame(t, "of nothing", sequence(a), uint64(0))
	const day = 24 * time.Hour
	rows := []*store.Issuance{
		of("spiffe://example.org/w", "i1", 1, Now().Add(100*day)), of("spiffe://example.org/w", "i2", 1, Now().Add(time.Hour)),
		of("spiffe://example.org/w", "i3", 1, Now()), of("spiffe://example.org/w", "i4", 1, Now().Add(day)),
	}
	mustInsert(t, a, rows...)
	var want []store.Revocation
	for n, i := range rows {
		// The clock of one replica is behind.
		at := Now().Add(-time.Duration(n) * time.Minute)
		before := sequence(b)
		must(t, []Store{a, b}[n%2].Revoke(ctx, i.Serial, at, 4, NewAudit("certificate.revoke", "r")))
		if after := sequence(a); after <= before {
			t.Errorf("number %d after %d", after, before)
		}
		want = append(want, store.Revocation{Serial: i.Serial, Issuer: i.Issuer, NotAfter: i.NotAfter, RevokedAt: at, Reason: 4, Seq: sequence(b)})
	}
	before := sequence(a)
	must(t, b.Revoke(ctx, rows[0].Serial, Now(), 4, NewAudit("certificate.revoke", "r")))
	wantSame(t, "after what changes nothing", sequence(a), before)
	if before < uint64(Now().UnixMicro()) {
		t.Errorf("number %d is below the time, so that a restored database would give it again", before)
	}
	for name, c := range map[string]struct {
		after uint64
		limit int
		want  []store.Revocation
	}{
		"all that has not expired": {0, 10, []store.Revocation{want[0], want[1], want[3]}},
		"a page":                   {0, 1, want[:1]},
		"the next page":            {want[0].Seq, 1, want[1:2]},
		"past an expired one":      {want[1].Seq, 2, want[3:]},
		"past the end":             {want[3].Seq, 2, nil},
		"a number that nobody has": {1 << 63, 2, nil},
	} {
		got, err := b.RevocationsSince(ctx, c.after, Now(), c.limit)
		must(t, err)
		if len(got) == 0 {
			got = nil
		}
		wantSame(t, name, got, c.want)
	}
}

// testRevocationLogRace: whoever has read the highest number has missed nothing below it.
func testRevocationLogRace(t *testing.T, a, b Store) {
	const writers, each = 4, 15
	ctx := t.Context()
	rows := make([]*store.Issuance, writers*each)
	for n := range rows {
		rows[n] = of(fmt.Sprintf("spiffe://example.org/w%d", n), "i", byte(n), Now().Add(time.Hour))
	}
	mustInsert(t, a, rows...)
	var wait sync.WaitGroup
	var done atomic.Int64
	for n := range writers {
		wait.Go(func() {
			defer done.Add(1)
			for k, i := range rows[n*each : (n+1)*each] {
				s := []Store{a, b}[(n+k)%2]
				err := s.Revoke(ctx, i.Serial, Now(), 4, NewAudit("certificate.revoke", "r"))
				if k%2 == 1 {
					_, err = revokeAll(ctx, s, bulk(store.Selector{SPIFFEID: i.SPIFFEID}))
				}
				if err != nil {
					t.Errorf("revoke: %v", err)
				}
			}
		})
	}
	seen := make(map[store.Serial]bool)
	for last := false; !last; {
		last = done.Load() == writers
		highest, err := b.RevocationSequence(ctx)
		must(t, err)
		all, err := a.RevocationsSince(ctx, 0, Now(), 1000)
		must(t, err)
		below := 0
		for _, r := range all {
			if r.Seq <= highest {
				below++
				seen[r.Serial] = true
			}
		}
		if below != len(seen) {
			t.Errorf("%d revocations up to number %d, of which %d were seen before", below, highest, len(seen))
		}
	}
	wait.Wait()
	wantSame(t, "in the end", len(seen), len(rows))
}

func testRevokedAuthorities(t *testing.T, a, b Store) {
	var last uint64
	look := func(what string, states map[string]string, moves bool) {
		t.Helper()
		number, err := a.GenerationNumber(t.Context())
		must(t, err)
		replace(t, a, withStates(number+1, states))
		sequence, err := b.RevocationSequence(t.Context())
		must(t, err)
		if moved := sequence > last; moved != moves || sequence < last {
			t.Errorf("%s: number %d after %d, want it to move: %t", what, sequence, last, moves)
		}
		last = sequence
	}
	look("nothing is revoked", map[string]string{"i1": "active", "i2": "tainted"}, false)
	look("one is revoked", map[string]string{"i1": "active", "i2": "revoked"}, true)
	look("something else changes", map[string]string{"i1": "retiring", "i2": "revoked", "i3": "active"}, false)
	look("another is revoked", map[string]string{"i1": "revoked", "i2": "revoked", "i3": "active"}, true)
	look("one is gone", map[string]string{"i1": "revoked", "i3": "active"}, true)
}
