package postgres

import (
	"testing"
	"time"

	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/storetest"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// millionLive is a store with a million certificates that are live and follow, beside a million
// that have expired. Every second one of the live renews another of them.
func millionLive(b *testing.B) *Store {
	b.Helper()
	ctx, now := b.Context(), storetest.Now()
	cfg := Config{URL: pgtest.New(b)}
	if err := Migrate(ctx, cfg); err != nil {
		b.Fatal(err)
	}
	s, err := Open(ctx, cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	if err := s.Prepare(ctx, now, now.Add(24*time.Hour)); err != nil {
		b.Fatal(err)
	}
	for _, sql := range []string{
		`INSERT INTO certificates (
			serial, spiffe_id, dns_names, profile, issuer, key_hash, key_algorithm, issued_at, not_before,
			not_after, method, caller, address, entry_id, replaces, request_id, certificate
		)
		SELECT '\x005744'::bytea || substr(sha256(n::text::bytea), 1, 16), 'spiffe://example.org/w' || n, '', 'workload',
			'i' || n % 2, sha256(n::text::bytea), 'ecdsa-p256', now(), now(),
			'2031-03-05 12:00:00+00'::timestamptz + (n - 1000000) * interval '0.003 second',
			'mtls', '', '', '', CASE WHEN n > 1500000 THEN '\x005744'::bytea || substr(sha256((n - 500000)::text::bytea), 1, 16) ELSE '' END,
			'', repeat('x', 500)::bytea
		FROM generate_series(1, 2000000) AS n`,
		`INSERT INTO acks (serial, sequence, not_after) SELECT c.serial, 7, c.not_after FROM certificates AS c`,
		`VACUUM ANALYZE certificates`,
		`VACUUM ANALYZE acks`,
	} {
		if _, err := s.pool.Exec(ctx, sql); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

func BenchmarkFacts(b *testing.B) {
	s, now := millionLive(b), storetest.Now()
	for b.Loop() {
		facts, err := s.Facts(b.Context(), now)
		if err != nil {
			b.Fatal(err)
		}
		if got := facts.Issuers["i0"].Live + facts.Issuers["i1"].Live; got != 1_000_000 || facts.Behind(8) != got {
			b.Fatalf("%d live, %d behind, want a million", got, facts.Behind(8))
		}
	}
}

func BenchmarkDependents(b *testing.B) {
	s, now := millionLive(b), storetest.Now()
	for b.Loop() {
		found, err := s.Dependents(b.Context(), store.DependentsFilter{Issuers: []string{"i0", "i1"}, Now: now})
		if err != nil {
			b.Fatal(err)
		}
		if got := found["i0"].Certificates + found["i1"].Certificates; got != 500_000 {
			b.Fatalf("%d depend, want half a million", got)
		}
	}
}
