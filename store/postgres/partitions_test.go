package postgres

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/storetest"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// newStore opens a store on a database of its own.
func newStore(t *testing.T) *Store {
	t.Helper()
	cfg := Config{URL: pgtest.New(t)}
	if err := Migrate(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func partitionsOf(t *testing.T, s *Store) []partition {
	t.Helper()
	conn, err := s.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	list, err := listPartitions(t.Context(), conn.Conn())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestPrepareMakesAtMostAHundredDays(t *testing.T) {
	s, now := newStore(t), storetest.Now()
	if err := s.Prepare(t.Context(), now, now.AddDate(5, 0, 0)); err != nil {
		t.Fatal(err)
	}
	if got := len(partitionsOf(t, s)); got != daysAhead+1 {
		t.Errorf("%d partitions, want %d", got, daysAhead+1)
	}
}

func TestPrepareDoesNotWaitForATransactionThatInserts(t *testing.T) {
	s, now := newStore(t), storetest.Now()
	if err := s.Prepare(t.Context(), now, now); err != nil {
		t.Fatal(err)
	}
	rows := []placed{{Issuance: storetest.NewIssuance("spiffe://example.org/w", now)}}
	err := pgx.BeginFunc(t.Context(), s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), insertSQL, newColumns(rows).arguments()...); err != nil {
			return err
		}
		return s.Prepare(t.Context(), now, now.AddDate(0, 0, 2))
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(partitionsOf(t, s)); got != 3 {
		t.Errorf("%d partitions, want 3", got)
	}
}

func TestPruneFinishesWhatWasLeftHalfDone(t *testing.T) {
	s, now := newStore(t), storetest.Now()
	ctx := t.Context()
	if err := s.Prepare(ctx, now, now.AddDate(0, 0, 3)); err != nil {
		t.Fatal(err)
	}
	before := partitionsOf(t, s)
	if _, err := s.pool.Exec(ctx, "ALTER TABLE certificates DETACH PARTITION "+before[0].Name); err != nil {
		t.Fatal(err)
	}
	// As a detachment that was killed while it waited for others.
	if _, err := s.pool.Exec(ctx, "UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = $1::text::regclass", before[1].Name); err != nil {
		t.Fatal(err)
	}
	later := now.AddDate(0, 0, 3)
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			if err := s.Prune(ctx, later, later); err != nil {
				t.Errorf("Prune: %v", err)
			}
		})
	}
	wait.Wait()
	if after := partitionsOf(t, s); !slices.Equal(after, before[3:]) {
		t.Errorf("partitions %v, want %v", after, before[3:])
	}
}

func TestInsertionsGoOnWhilePartitionsComeAndGo(t *testing.T) {
	s, now := newStore(t), storetest.Now()
	ctx := t.Context()
	if err := s.Prepare(ctx, now.AddDate(0, 0, -5), now); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() {
			for {
				i := storetest.NewIssuance("spiffe://example.org/w", now)
				errs, err := s.InsertBatch(ctx, []*store.Issuance{i}, now)
				if err != nil || errs[0] != nil {
					t.Errorf("InsertBatch: %v %v", err, errs)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	if err := s.Prepare(ctx, now, now.AddDate(0, 0, 10)); err != nil {
		t.Error(err)
	}
	if err := s.Prune(ctx, now, now); err != nil {
		t.Error(err)
	}
	close(done)
	wait.Wait()
	if got := len(partitionsOf(t, s)); got != 11 {
		t.Errorf("%d partitions, want 11", got)
	}
}

// TestPartitionsUntil: what is made ahead reaches to its first gap.
func TestPartitionsUntil(t *testing.T) {
	ctx, now, s := t.Context(), storetest.Now(), newStore(t)
	today := now.Truncate(24 * time.Hour)
	reaches := func(when string, want time.Time) {
		t.Helper()
		if until, err := s.PartitionsUntil(ctx, now); err != nil || !until.Equal(want) {
			t.Errorf("%s: until %s, %v, want %s", when, until, err, want)
		}
	}
	reaches("before there is one", today)
	if err := s.Prepare(ctx, now, now.Add(3*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	reaches("with three days ahead", today.Add(4*24*time.Hour))
	if _, err := s.pool.Exec(ctx, "DROP TABLE "+partitionName(dayOf(now)+2)); err != nil {
		t.Fatal(err)
	}
	reaches("with a gap", today.Add(2*24*time.Hour))
}
