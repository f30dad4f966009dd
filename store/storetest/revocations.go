package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pando-ca/pando/store"
)

func testRevoke(t *testing.T, a, b Store) {
	ctx, now := t.Context(), Now()
	row := NewIssuance("spiffe://example.org/w", now)
	mustInsert(t, a, row)
	wantError(t, "unknown serial", a.Revoke(ctx, NewSerial(now), now, 1, NewAudit("certificate.revoke", "x")), store.ErrNotFound)
	must(t, a.Revoke(ctx, row.Serial, now, 5, NewAudit("certificate.revoke", "first")))
	must(t, b.Revoke(ctx, row.Serial, now.Add(time.Hour), 4, NewAudit("certificate.revoke", "second")))
	got, err := b.Record(ctx, row.Serial)
	must(t, err)
	want := row.Record
	want.Revoked = &store.Revocation{Serial: row.Serial, Issuer: row.Issuer, NotAfter: row.NotAfter, RevokedAt: now, Reason: 5}
	wantSame(t, "record", *got, want)

	must(t, a.BlockKey(ctx, row.KeyHash, now, NewAudit("key.block", "first")))
	must(t, b.BlockKey(ctx, row.KeyHash, now, NewAudit("key.block", "second")))
	audits, err := a.Audits(ctx, 0, 10)
	must(t, err)
	var targets []string
	for _, audit := range audits {
		targets = append(targets, audit.Action+" "+audit.Target)
	}
	wantSame(t, "audit rows", targets, []string{"key.block first", "certificate.revoke first"})
}

// of is an issuance for an identity, by an issuer, with a key, that ends when it is told.
func of(spiffeID, issuer string, key byte, notAfter time.Time) *store.Issuance {
	i := NewIssuance(spiffeID, Now())
	i.Issuer, i.KeyHash, i.NotAfter, i.Serial = issuer, [32]byte{key}, notAfter, NewSerial(notAfter)
	return i
}

// revokeAll revokes part after part, and returns how many certificates that were.
func revokeAll(ctx context.Context, s store.Revocations, r store.BulkRevocation) (int, error) {
	total := 0
	for {
		n, next, err := s.RevokeSelected(ctx, r)
		total += n
		if err != nil || next.IsZero() {
			return total, err
		}
		r.After = next
	}
}

// bulk revokes as superseded, at Now.
func bulk(selector store.Selector) store.BulkRevocation {
	return store.BulkRevocation{Selector: selector, At: Now(), Reason: 4, Audit: NewAudit("certificates.revoke", "r")}
}

func wantRevoked(t *testing.T, s store.Records, i *store.Issuance, want bool) {
	t.Helper()
	record, err := s.Record(t.Context(), i.Serial)
	must(t, err)
	if (record.Revoked != nil) != want {
		t.Errorf("%s by %s, key %x, until %s: revoked %t, want %t", i.SPIFFEID, i.Issuer, i.KeyHash[0], i.NotAfter, !want, want)
	}
}

// testRevokeSelected crosses identities, issuers, keys and ends: of all of these exactly what
// is selected, has not expired and is not revoked is counted and then revoked.
func testRevokeSelected(t *testing.T, a, b Store) {
	for name, selector := range map[string]store.Selector{
		"by SPIFFE ID": {SPIFFEID: "spiffe://example.org/a"},
		"by issuer":    {Issuer: "i1"},
		"by key":       {KeyHash: [32]byte{1}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			prefix := fmt.Sprintf("%x", NewSerial(Now())) // of this case alone
			r := bulk(selector)
			var hit, missed, early []*store.Issuance
			for _, id := range []string{"spiffe://example.org/a", "spiffe://example.org/ab"} {
				for _, issuer := range []string{"i1", "i2"} {
					for key := byte(1); key < 3; key++ {
						for _, end := range []time.Duration{-time.Hour, 0, time.Microsecond, time.Hour, 1000 * time.Hour} {
							i := of(prefix+id, prefix+issuer, key, Now().Add(end))
							copy(i.KeyHash[1:], prefix)
							mine := id == selector.SPIFFEID || issuer == selector.Issuer || key == selector.KeyHash[0]
							if mine && end > 0 {
								hit = append(hit, i)
							} else {
								missed = append(missed, i)
							}
						}
					}
				}
			}
			switch {
			case selector.SPIFFEID != "":
				r.SPIFFEID = prefix + selector.SPIFFEID
			case selector.Issuer != "":
				r.Issuer = prefix + selector.Issuer
			default:
				copy(r.KeyHash[1:], prefix)
			}
			early, hit = hit[:1], hit[1:]
			mustInsert(t, a, append(append(append([]*store.Issuance{}, hit...), missed...), early...)...)
			must(t, b.Revoke(ctx, early[0].Serial, Now().Add(-time.Hour), 5, NewAudit("certificate.revoke", "early")))

			count, err := b.CountSelected(ctx, r.Selector, r.At)
			must(t, err)
			identities := 2
			if r.SPIFFEID != "" {
				identities = 1
			}
			wantSame(t, "count", count, store.Selected{Certificates: len(hit), Identities: identities})
			n, err := revokeAll(ctx, a, r)
			must(t, err)
			wantSame(t, "revoked", n, len(hit))
			for _, i := range hit {
				wantRevoked(t, b, i, true)
			}
			for _, i := range missed {
				wantRevoked(t, b, i, false)
			}
			record, err := b.Record(ctx, early[0].Serial)
			must(t, err)
			wantSame(t, "the first reason", record.Revoked.Reason, 5)
			audits, err := b.Audits(ctx, 0, 1)
			must(t, err)
			wantSame(t, "audit detail", audits[0].Detail, map[string]string{"reason": "test", store.DetailCertificates: fmt.Sprint(len(hit))})

			n, err = revokeAll(ctx, b, r)
			must(t, err)
			wantSame(t, "revoked again", n, 0)
			again, err := a.Audits(ctx, 0, 1)
			must(t, err)
			wantSame(t, "audit rows of what changes nothing", again, audits)
			count, err = a.CountSelected(ctx, r.Selector, r.At)
			must(t, err)
			wantSame(t, "count afterwards", count, store.Selected{})
			i := NewIssuance("spiffe://example.org/w", Now())
			i.KeyHash = r.KeyHash
			if r.Issuer == "" && r.SPIFFEID == "" {
				wantError(t, "another certificate for the key", insert(t, a, i), store.ErrKeyBlocked)
			}
		})
	}
}

// testRevokeInParts revokes more than one transaction takes, is interrupted, and goes on.
func testRevokeInParts(t *testing.T, a, b Store) {
	const rows, batch = 11_000, 1000
	ctx := t.Context()
	for range rows / batch {
		var part []*store.Issuance
		for n := range batch {
			i := of("spiffe://example.org/w", "i1", 1, Now().Add(time.Duration(1+n%3)*time.Hour)) // many end at once
			i.Certificate = i.Certificate[:16]
			part = append(part, i)
		}
		mustInsert(t, a, part...)
	}
	r := bulk(store.Selector{Issuer: "i1"})
	first, next, err := a.RevokeSelected(ctx, r)
	must(t, err)
	if first == 0 || first >= rows/2+1 || next.IsZero() {
		t.Fatalf("the first part has %d certificates, next at %v; want more parts than one", first, next)
	}
	count, err := b.CountSelected(ctx, r.Selector, r.At)
	must(t, err)
	wantSame(t, "left", count, store.Selected{Certificates: rows - first, Identities: 1})
	second, _, err := a.RevokeSelected(ctx, store.BulkRevocation{Selector: r.Selector, At: r.At, Reason: 4, After: next, Audit: r.Audit})
	must(t, err)
	rest, err := revokeAll(ctx, b, bulk(store.Selector{SPIFFEID: "spiffe://example.org/w"})) // from the beginning
	must(t, err)
	wantSame(t, "in all", first+second+rest, rows)

	var last uint64
	seen := make(map[store.Serial]bool)
	for {
		page, err := b.RevocationsSince(ctx, last, Now(), 997)
		must(t, err)
		if len(page) == 0 {
			break
		}
		for _, one := range page {
			if one.Seq <= last {
				t.Fatalf("number %d follows %d", one.Seq, last)
			}
			last, seen[one.Serial] = one.Seq, true
		}
	}
	wantSame(t, "revocations in the log", len(seen), rows)
	sequence, err := a.RevocationSequence(ctx)
	must(t, err)
	wantSame(t, "the highest number", sequence, last)
}

func testCompromisedKeys(t *testing.T, a, b Store) {
	ctx := t.Context()
	alone, one, two, other := NewIssuance("spiffe://example.org/w", Now()), of("spiffe://example.org/a", "i", 2, Now().Add(time.Hour)),
		of("spiffe://example.org/a", "i", 3, Now().Add(time.Hour)), of("spiffe://example.org/b", "i", 4, Now().Add(time.Hour))
	mustInsert(t, a, alone, one, two, other)
	blocked := func(what string, i *store.Issuance, want error) {
		t.Helper()
		again := NewIssuance("spiffe://example.org/new", Now())
		again.KeyHash = i.KeyHash
		wantError(t, what, insert(t, b, again), want)
	}
	must(t, a.Revoke(ctx, alone.Serial, Now(), 4, NewAudit("certificate.revoke", "first")))
	blocked("revoked for another reason", alone, nil)
	must(t, a.Revoke(ctx, alone.Serial, Now(), store.ReasonKeyCompromise, NewAudit("certificate.revoke", "compromised")))
	blocked("found to be compromised afterwards", alone, store.ErrKeyBlocked)
	record, err := b.Record(ctx, alone.Serial)
	must(t, err)
	wantSame(t, "the first reason", record.Revoked.Reason, 4)

	r := bulk(store.Selector{SPIFFEID: "spiffe://example.org/a"})
	r.Reason = store.ReasonKeyCompromise
	n, err := revokeAll(ctx, a, r)
	must(t, err)
	wantSame(t, "revoked", n, 2)
	blocked("the first key of an identity", one, store.ErrKeyBlocked)
	blocked("the second key of an identity", two, store.ErrKeyBlocked)
	blocked("the key of another identity", other, nil)
}

func testRevokeActiveIssuer(t *testing.T, a, b Store) {
	ctx := t.Context()
	replace(t, a, withStates(1, map[string]string{"i1": "active"}))
	i := of("spiffe://example.org/w", "i1", 1, Now().Add(time.Hour))
	mustInsert(t, a, i)
	_, err := revokeAll(ctx, b, bulk(store.Selector{Issuer: "i1"}))
	wantError(t, "of an active issuer", err, store.ErrIssuerActive)
	wantRevoked(t, a, i, false)
	replace(t, a, withStates(2, map[string]string{"i1": "tainted", "i2": "active"}))
	n, err := revokeAll(ctx, b, bulk(store.Selector{Issuer: "i1"}))
	must(t, err)
	wantSame(t, "of a tainted issuer", n, 1)
}

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

// testBulkRevocationRace: holders of an identity renew as fast as they can, each time with the
// certificate before, while the identity is revoked. Nothing of it is left.
func testBulkRevocationRace(t *testing.T, a, b Store) {
	const holders = 6
	ctx := t.Context()
	var wait sync.WaitGroup
	warm := make(chan struct{}, holders)
	for n := range holders {
		s := []Store{a, b}[n%2]
		wait.Go(func() {
			var held *store.Issuance
			for try := 0; ; try++ {
				next := of("spiffe://example.org/w", "i", byte(n), Now().Add(time.Duration(1+try%5)*time.Hour))
				if held != nil {
					next.Replaces, next.CallerSerial = held.Serial, held.Serial
				}
				errs, err := s.InsertBatch(ctx, []*store.Issuance{next}, Now())
				if err = errors.Join(append(errs, err)...); err != nil {
					if !errors.Is(err, store.ErrCallerRevoked) {
						t.Errorf("insert: %v", err)
					}
					return
				}
				if held = next; try == 3 {
					warm <- struct{}{}
				}
			}
		})
	}
	for range holders {
		<-warm
	}
	_, err := revokeAll(ctx, b, bulk(store.Selector{SPIFFEID: "spiffe://example.org/w"}))
	must(t, err)
	wait.Wait() // all of them are refused
	live, err := a.Records(ctx, store.RecordFilter{SPIFFEID: "spiffe://example.org/w", State: store.StateLive, Now: Now(), Limit: 10})
	must(t, err)
	if len(live) > 0 {
		t.Errorf("%d certificates are left", len(live))
	}
}

// testBulkKeyRace is testBlockRace for a key whose certificates are revoked.
func testBulkKeyRace(t *testing.T, a, b Store) {
	key := [32]byte{7}
	refuseDuring(t, a, b, func() *store.Issuance {
		return of("spiffe://example.org/w", "i", 7, Now().Add(time.Hour))
	}, func() error {
		_, err := revokeAll(t.Context(), a, bulk(store.Selector{KeyHash: key}))
		return err
	}, store.ErrKeyBlocked)
	count, err := b.CountSelected(t.Context(), store.Selector{KeyHash: key}, Now())
	must(t, err)
	wantSame(t, "certificates of the key that are left", count, store.Selected{})
}

func testPruneRevocations(t *testing.T, a, b Store) {
	ctx, now := t.Context(), Now()
	const day = 24 * time.Hour
	midnight := now.Truncate(day)
	old, edge, today, live := of("spiffe://example.org/w", "i", 1, midnight.Add(-day-time.Second)), of("spiffe://example.org/w", "i", 1, midnight.Add(-day)),
		of("spiffe://example.org/w", "i", 1, now.Add(-time.Second)), of("spiffe://example.org/w", "i", 1, now.Add(time.Second))
	all := []*store.Issuance{old, edge, today, live}
	mustInsert(t, a, all...)
	for _, i := range all {
		must(t, a.Revoke(ctx, i.Serial, i.NotAfter.Add(-time.Microsecond), 4, NewAudit("certificate.revoke", "r")))
	}
	left := func(what string, want ...*store.Issuance) {
		t.Helper()
		got, err := b.RevocationsSince(ctx, 0, midnight.Add(-100*day), 100)
		must(t, err)
		var serials, wanted []store.Serial
		for _, r := range got {
			serials = append(serials, r.Serial)
		}
		for _, i := range want {
			wanted = append(wanted, i.Serial)
		}
		wantSame(t, what, serials, wanted)
	}
	must(t, a.PruneRevocations(ctx, now, now.Add(-day)))
	left("whole days only", edge, today, live)
	must(t, a.PruneRevocations(ctx, now, now.Add(1000*day)))
	left("nothing that may live, whatever was asked for", today, live)
	wantRevoked(t, b, live, true)
	sequence, err := b.RevocationSequence(ctx)
	must(t, err)
	must(t, a.PruneRevocations(ctx, now.Add(2*day), now.Add(2*day)))
	left("all that has expired")
	after, err := b.RevocationSequence(ctx)
	must(t, err)
	wantSame(t, "the highest number, of which nothing is left", after, sequence)
}
