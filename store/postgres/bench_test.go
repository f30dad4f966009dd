package postgres_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pando-ca/pando/internal/pgserver"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/postgres"
	"github.com/pando-ca/pando/store/storetest"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// BenchmarkInsertBatch measures renewals (a caller to look up, an entry, a key) on a server
// that syncs every commit: rows per second, and the processor time of the server for each.
func BenchmarkInsertBatch(b *testing.B) {
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
	if err := s.CreateEntry(b.Context(), storetest.NewEntry("e", "spiffe://example.org/w"), storetest.NewAudit("entry.create", "e")); err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{1, 16, 64, 500} {
		for _, commits := range []int{1, 2} {
			b.Run(fmt.Sprintf("rows=%d/commits=%d", size, commits), func(b *testing.B) {
				benchmarkInsert(b, s, server, size, commits)
			})
		}
	}
}

func benchmarkInsert(b *testing.B, s *postgres.Store, server *pgserver.Server, size, commits int) {
	now := storetest.Now()
	batches := make(chan []*store.Issuance, b.N)
	for range b.N {
		batch := make([]*store.Issuance, size)
		for n := range batch {
			i := storetest.NewIssuance(fmt.Sprintf("spiffe://example.org/ns/default/sa/w%d", n*7919%10_000), now)
			i.EntryID, i.CallerSerial, i.Replaces = "e", storetest.NewSerial(now), storetest.NewSerial(now)
			batch[n] = i
		}
		batches <- batch
	}
	close(batches)
	before, err := server.CPU()
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	var wait sync.WaitGroup
	for range commits {
		wait.Go(func() {
			for batch := range batches {
				if _, err := s.InsertBatch(b.Context(), batch, now); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wait.Wait()
	b.StopTimer()
	after, err := server.CPU()
	if err != nil {
		b.Fatal(err)
	}
	rows := float64(b.N * size)
	b.ReportMetric(rows/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64((after-before).Microseconds())/rows, "server-µs/row")
}
