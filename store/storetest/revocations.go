package storetest

import (
	"context"
	"fmt"
	"strings"
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
	audits, err := a.Audits(ctx, store.AuditFilter{Limit: 10})
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
	for name, c := range map[string]struct {
		selector   store.Selector
		mine       func(*store.Issuance) bool
		identities int
	}{
		"by SPIFFE ID": {store.Selector{SPIFFEID: "by ID/a"}, func(i *store.Issuance) bool { return i.SPIFFEID == "by ID/a" }, 1},
		"by issuer":    {store.Selector{Issuer: "by issuer/1"}, func(i *store.Issuance) bool { return i.Issuer == "by issuer/1" }, 2},
		"by key":       {store.Selector{KeyHash: [32]byte{4}}, func(i *store.Issuance) bool { return i.KeyHash[0] == 4 }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, r := t.Context(), bulk(c.selector)
			hit, missed := crossed(c.selector, c.mine)
			mustInsert(t, a, append(append([]*store.Issuance{}, hit...), missed...)...)
			early, hit := hit[0], hit[1:]
			must(t, b.Revoke(ctx, early.Serial, Now().Add(-time.Hour), 5, NewAudit("certificate.revoke", "early")))

			wantCount(t, b, r, store.Selected{Certificates: len(hit), Identities: c.identities})
			n, err := revokeAll(ctx, a, r)
			must(t, err)
			wantSame(t, "revoked", n, len(hit))
			for _, i := range hit {
				wantRevoked(t, b, i, true)
			}
			for _, i := range missed {
				wantRevoked(t, b, i, false)
			}
			record, err := b.Record(ctx, early.Serial)
			must(t, err)
			wantSame(t, "the first reason", record.Revoked.Reason, 5)
			audits, err := b.Audits(ctx, store.AuditFilter{Limit: 1})
			must(t, err)
			wantSame(t, "audit detail", audits[0].Detail, map[string]string{"reason": "test", store.DetailCertificates: fmt.Sprint(len(hit))})

			n, err = revokeAll(ctx, b, r)
			must(t, err)
			wantSame(t, "revoked again", n, 0)
			again, err := a.Audits(ctx, store.AuditFilter{Limit: 1})
			must(t, err)
			wantSame(t, "audit rows of what changes nothing", again, audits)
			wantCount(t, a, r, store.Selected{})
		})
	}
	wantError(t, "another certificate for the key", insert(t, b, of("spiffe://example.org/w", "i", 4, Now().Add(time.Hour))), store.ErrKeyBlocked)
}

// crossed makes a certificate for each of two identities, two issuers, two keys and five ends,
// whose names are those of the case, and tells those that are selected from the others.
func crossed(selector store.Selector, mine func(*store.Issuance) bool) (hit, missed []*store.Issuance) {
	name, _, _ := strings.Cut(selector.SPIFFEID+selector.Issuer, "/")
	ends := []time.Duration{-time.Hour, 0, time.Microsecond, time.Hour, 1000 * time.Hour}
	for n := range 2 * 2 * 2 * len(ends) {
		end := ends[n/8]
		i := of(name+[]string{"/a", "/ab"}[n%2], fmt.Sprintf("%s/%d", name, n/2%2), byte(4+n/4%2), Now().Add(end))
		if selector.KeyHash == [32]byte{} {
			i.KeyHash[1] = byte(len(name)) // not the key of another case, which is blocked
		}
		if mine(i) && end > 0 {
			hit = append(hit, i)
		} else {
			missed = append(missed, i)
		}
	}
	return hit, missed
}

// wantCount compares what would be revoked.
func wantCount(t *testing.T, s store.Revocations, r store.BulkRevocation, want store.Selected) {
	t.Helper()
	got, err := s.CountSelected(t.Context(), r.Selector, r.At)
	must(t, err)
	wantSame(t, "count", got, want)
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
	wantCount(t, b, r, store.Selected{Certificates: rows - first, Identities: 1})
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
