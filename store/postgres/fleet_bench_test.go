package postgres

import (
	"testing"
	"time"

	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/storetest"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// BenchmarkFleet takes the figures of 100 000 identities: a million certificates that are live,
// beside a million that have expired today, over partitions for a hundred days.
func BenchmarkFleet(b *testing.B) {
	ctx, now := b.Context(), storetest.Now()
	cfg := Config{URL: pgtest.New(b)}
	if err := Migrate(ctx, cfg); err != nil {
		b.Fatal(err)
	}
	s, err := Open(ctx, cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if err := s.Prepare(ctx, now, now.Add(97*24*time.Hour)); err != nil {
		b.Fatal(err)
	}
	for _, sql := range []string{
		`INSERT INTO certificates (
			serial, spiffe_id, dns_names, profile, issuer, key_hash, key_algorithm, issued_at, not_before,
			not_after, method, caller, address, entry_id, replaces, request_id, certificate
		)
		SELECT '\x005744'::bytea || substr(sha256(n::text::bytea), 1, 16), 'spiffe://example.org/ns/default/sa/w' || n % 100000, '', 'workload',
			'i' || n % 2, sha256((n % 100000)::text::bytea), 'ecdsa-p256', now(), now(),
			'2031-03-05 12:00:00+00'::timestamptz + (n - 1000000) * interval '0.02 second',
			'mtls', '', '', '', '', '', repeat('x', 500)::bytea
		FROM generate_series(1, 2000000) AS n`,
		`VACUUM ANALYZE certificates`,
	} {
		if _, err := s.pool.Exec(ctx, sql); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("identities", func(b *testing.B) {
		for b.Loop() {
			n, filter := 0, store.IdentityFilter{EndsAfter: now.Add(-24 * time.Hour), Limit: 5000}
			for {
				page, err := s.Identities(ctx, filter)
				if err != nil {
					b.Fatal(err)
				}
				n += len(page)
				if len(page) < filter.Limit {
					break
				}
				filter.After = page[len(page)-1].SPIFFEID
			}
			if n != 100_000 {
				b.Fatalf("%d identities", n)
			}
		}
	})
	b.Run("live counts", func(b *testing.B) {
		for b.Loop() {
			counts, err := s.LiveCounts(ctx, now)
			if err != nil || len(counts) != 2 || counts[0].Certificates != 500_000 {
				b.Fatal(counts, err)
			}
		}
	})
	b.Run("holdings", func(b *testing.B) {
		for b.Loop() {
			n, filter := 0, store.HoldingFilter{First: "spiffe://example.org/ns/default/sa/w5", Last: "spiffe://example.org/ns/default/sa/w5~", Now: now, Limit: 1000}
			for {
				page, err := s.Holdings(ctx, filter)
				if err != nil {
					b.Fatal(err)
				}
				n += len(page)
				if len(page) < filter.Limit {
					break
				}
				last := page[len(page)-1]
				filter.First, filter.After = last.SPIFFEID, store.Cursor{NotAfter: last.NotAfter, Serial: last.Serial}
			}
			b.ReportMetric(float64(n), "rows")
		}
	})
}
