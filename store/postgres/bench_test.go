package postgres_test

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pando-ca/pando/internal/pgserver"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/postgres"
	"github.com/pando-ca/pando/store/storetest"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// BenchmarkBatcher measures 64 callers who each insert one row and wait for it, through a
// Batcher that allows one or two commits in flight.
func BenchmarkBatcher(b *testing.B) {
	s, server := benchmarkStore(b)
	for _, commits := range []int{1, 2, 3} {
		b.Run(fmt.Sprintf("commits=%d", commits), func(b *testing.B) {
			batcher, err := store.NewBatcher(store.BatcherConfig{Inserter: s, Commits: commits})
			if err != nil {
				b.Fatal(err)
			}
			defer batcher.Close()
			all := newRenewals(b.N)
			var next atomic.Int64
			var wait sync.WaitGroup
			measure(b, server, b.N, func() {
				for range 64 {
					wait.Go(func() {
						for at := next.Add(1) - 1; at < int64(b.N); at = next.Add(1) - 1 {
							if err := batcher.Insert(b.Context(), all[at], storetest.Now()); err != nil {
								b.Error(err)
							}
						}
					})
				}
				wait.Wait()
			})
		})
	}
}

// BenchmarkInsertBatch measures renewals (a caller to look up, an entry, a key) on a server
// that syncs every commit: rows per second, and the processor time of the server for each.
func BenchmarkInsertBatch(b *testing.B) {
	s, server := benchmarkStore(b)
	for _, size := range []int{1, 16, 64, 500} {
		for _, commits := range []int{1, 2} {
			b.Run(fmt.Sprintf("rows=%d/commits=%d", size, commits), func(b *testing.B) {
				benchmarkInsert(b, s, server, size, commits)
			})
		}
	}
}

// benchmarkStore is a store on a server of its own that syncs every commit.
func benchmarkStore(b *testing.B) (*postgres.Store, *pgserver.Server) {
	b.Helper()
	server := pgtest.Start(b, pgserver.Config{Durable: true})
	cfg := postgres.Config{URL: server.URL("postgres")}
	if err := postgres.Migrate(b.Context(), cfg); err != nil {
		b.Fatal(err)
	}
	s := open(b, cfg.URL)
	now := storetest.Now()
	if err := s.Prepare(b.Context(), now, now.Add(48*time.Hour)); err != nil {
		b.Fatal(err)
	}
	gen := store.Generation{Number: 1, PublishedAt: now, Authorities: []store.Authority{
		{ID: "root", Role: "root", State: "active", StateSince: now},
		{ID: storetest.NewIssuance("", now).Issuer, Role: "intermediate", State: "active", StateSince: now},
	}}
	if err := s.ReplaceGeneration(b.Context(), 0, gen, store.Fence{}); err != nil {
		b.Fatal(err)
	}
	if err := s.CreateEntry(b.Context(), storetest.NewEntry("e", "spiffe://example.org/w"), storetest.NewAudit("entry.create", "e")); err != nil {
		b.Fatal(err)
	}
	return s, server
}

// newRenewals are issuances with all that a renewal asks for.
func newRenewals(n int) []*store.Issuance {
	now := storetest.Now()
	all := make([]*store.Issuance, n)
	for at := range all {
		i := storetest.NewIssuance(fmt.Sprintf("spiffe://example.org/ns/default/sa/w%d", at*7919%10_000), now)
		i.EntryID, i.CallerSerial, i.Replaces = "e", storetest.NewSerial(now), storetest.NewSerial(now)
		all[at] = i
	}
	return all
}

// benchmarkInsert inserts batches of one size, with so many commits in flight.
func benchmarkInsert(b *testing.B, s *postgres.Store, server *pgserver.Server, size, commits int) {
	batches := make(chan []*store.Issuance, b.N)
	for range b.N {
		batches <- newRenewals(size)
	}
	close(batches)
	var wait sync.WaitGroup
	measure(b, server, b.N*size, func() {
		for range commits {
			wait.Go(func() {
				for batch := range batches {
					if _, err := s.InsertBatch(b.Context(), batch, storetest.Now()); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wait.Wait()
	})
}

// measure reports the rows per second of f, and the processor time of the server for each.
func measure(b *testing.B, server *pgserver.Server, rows int, f func()) {
	b.Helper()
	before, err := server.CPU()
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	f()
	b.StopTimer()
	after, err := server.CPU()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64((after-before).Microseconds())/float64(rows), "server-µs/row")
}

// BenchmarkChange makes join tokens, by eight administrators at once: each is a row in the chain of
// audit rows, and they commit one after the other.
func BenchmarkChange(b *testing.B) {
	s, _ := benchmarkStore(b)
	var made atomic.Int64
	b.SetParallelism(8)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := strconv.FormatInt(made.Add(1), 10)
			if err := s.CreateToken(b.Context(), storetest.NewToken(id, "e"), storetest.NewAudit("token.create", id)); err != nil {
				b.Error(err)
			}
		}
	})
}
