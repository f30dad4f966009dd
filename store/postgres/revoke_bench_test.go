package postgres

import (
	"testing"
	"time"

	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/storetest"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// BenchmarkRevokeAMillion revokes the million live certificates of one issuer, and reports what
// the parts and the reading of the log take. It is meant for -benchtime=1x.
func BenchmarkRevokeAMillion(b *testing.B) {
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
	if err := s.Prepare(ctx, now, now.Add(2*24*time.Hour)); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		for _, sql := range []string{
			`TRUNCATE certificates, revocations`,
			// Serial numbers lead with the seconds of not_after, a hundred in each second.
			`INSERT INTO certificates (
				serial, spiffe_id, dns_names, profile, issuer, key_hash, key_algorithm, issued_at, not_before,
				not_after, method, caller, address, entry_id, replaces, request_id, certificate
			)
			SELECT substr(int8send(extract(epoch FROM t.not_after)::bigint), 5) || substr(sha256(n::text::bytea), 1, 15),
				'spiffe://example.org/w' || n % 100000, '', 'workload', 'i1', sha256(n::text::bytea), 'ecdsa-p256', now(), now(),
				t.not_after, 'mtls', '', '', '', '', '', repeat('x', 500)::bytea
			FROM generate_series(1, 1000000) AS n
			CROSS JOIN LATERAL (SELECT '2031-03-05 18:00:00+00'::timestamptz + n / 100 * interval '1 second' AS not_after) AS t`,
			`VACUUM ANALYZE certificates`,
		} {
			if _, err := s.pool.Exec(ctx, sql); err != nil {
				b.Fatal(err)
			}
		}
		key, err := s.Records(ctx, store.RecordFilter{Limit: 1})
		if err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		byKey, err := s.CountSelected(ctx, store.Selector{KeyHash: key[0].KeyHash}, now)
		if err != nil || byKey.Certificates != 1 {
			b.Fatalf("%d certificates of a key, %v", byKey.Certificates, err)
		}
		b.ReportMetric(time.Since(start).Seconds(), "s/count-by-key")
		start = time.Now()
		all, err := s.CountSelected(ctx, store.Selector{Issuer: "i1"}, now)
		if err != nil || all.Certificates != 1_000_000 || all.Identities != 100_000 {
			b.Fatalf("%+v are counted, %v", all, err)
		}
		b.ReportMetric(time.Since(start).Seconds(), "s/count-by-issuer")
		b.StartTimer()
		revokeMillion(b, s, store.BulkRevocation{Selector: store.Selector{Issuer: "i1"}, At: now, Reason: 1})
		b.StopTimer()
		readMillion(b, s, now)
		b.StartTimer()
	}
}

func revokeMillion(b *testing.B, s *Store, r store.BulkRevocation) {
	b.Helper()
	total, longest := 0, time.Duration(0)
	for {
		start := time.Now()
		n, next, err := s.RevokeSelected(b.Context(), r)
		if err != nil {
			b.Fatal(err)
		}
		total, longest = total+n, max(longest, time.Since(start))
		if next.IsZero() {
			break
		}
		r.After = next
	}
	if total != 1_000_000 {
		b.Fatalf("%d were revoked", total)
	}
	b.ReportMetric(longest.Seconds(), "s/longest-part")
}

func readMillion(b *testing.B, s *Store, now time.Time) {
	b.Helper()
	start := time.Now()
	var after uint64
	for {
		page, err := s.RevocationsSince(b.Context(), after, now, 10_000)
		if err != nil {
			b.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].Seq
	}
	b.ReportMetric(time.Since(start).Seconds(), "s/read-log")
}
