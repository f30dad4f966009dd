package sqlite_test

import (
	"fmt"
	"testing"

	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/sqlite"
	"github.com/pando-ca/pando/store/storetest"
)

// BenchmarkInsertBatch measures renewals, with every commit synced to the disk.
func BenchmarkInsertBatch(b *testing.B) {
	cfg := sqlite.Config{Dir: b.TempDir()}
	migrate(b, cfg)
	s := open(b, cfg)
	now := storetest.Now()
	for _, size := range []int{1, 16, 64, 500} {
		b.Run(fmt.Sprintf("rows=%d", size), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				batch := make([]*store.Issuance, size)
				for n := range batch {
					batch[n] = storetest.NewIssuance(fmt.Sprintf("spiffe://example.org/ns/default/sa/w%d", n), now)
					batch[n].CallerSerial = storetest.NewSerial(now)
				}
				b.StartTimer()
				if _, err := s.InsertBatch(b.Context(), batch, now); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
