package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/storetest"
)

// begin starts a transaction of another replica, which is rolled back unless it is committed.
func begin(t *testing.T, s *Store) pgx.Tx {
	t.Helper()
	tx, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tx.Rollback(context.Background()); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
			t.Errorf("Rollback: %v", err)
		}
	})
	return tx
}

func execute(t *testing.T, tx pgx.Tx, sql string, args ...any) {
	t.Helper()
	if _, err := tx.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

// blocked starts do, and returns once a session waits for a lock, with what do will return.
func blocked(t *testing.T, s *Store, do func() error) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- do() }()
	for {
		select {
		case err := <-done:
			t.Fatalf("returned %v, want it to wait", err)
		default:
		}
		var waiting int
		err := s.pool.QueryRow(t.Context(), `
			SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
		if waiting > 0 {
			return done
		}
	}
}

func generationWith(number uint64, active ...string) store.Generation {
	g := store.Generation{Number: number, TrustDomain: "example.org", Sequence: 1, PublishedAt: storetest.Now()}
	for _, id := range active {
		g.Authorities = append(g.Authorities, store.Authority{ID: id, Role: "intermediate", State: "active", StateSince: storetest.Now()})
	}
	return g
}

func issuedBy(issuer string) *store.Issuance {
	i := storetest.NewIssuance("spiffe://example.org/w", storetest.Now())
	i.Issuer = issuer
	return i
}

func TestAGenerationWaitsForInsertionsInFlight(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	if err := s.Prepare(ctx, storetest.Now(), storetest.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := s.ReplaceGeneration(ctx, 0, generationWith(1, "old"), store.Fence{}); err != nil {
		t.Fatal(err)
	}
	row := issuedBy("old")
	inFlight := begin(t, s)
	execute(t, inFlight, lockSharedSQL)
	execute(t, inFlight, insertSQL, newColumns([]placed{{Issuance: row}}).arguments()...)
	replaced := blocked(t, s, func() error { return s.ReplaceGeneration(ctx, 1, generationWith(2, "new"), store.Fence{}) })
	if number, err := s.GenerationNumber(ctx); err != nil || number != 1 {
		t.Errorf("generation %d, %v, while an insertion is in flight, want 1", number, err)
	}
	if err := inFlight.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-replaced; err != nil {
		t.Fatal(err)
	}
	facts, err := s.Facts(ctx, storetest.Now())
	if err != nil || facts.Issuers["old"].Live != 1 {
		t.Errorf("facts %+v, %v, want the certificate of the old issuer", facts, err)
	}
}

func TestAnInsertionThatWaitsForAGenerationIsJudgedByIt(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	if err := s.ReplaceGeneration(ctx, 0, generationWith(1, "old"), store.Fence{}); err != nil {
		t.Fatal(err)
	}
	replacing := begin(t, s)
	execute(t, replacing, lockExclusiveSQL)
	row := issuedBy("old")
	refused := blocked(t, s, func() error {
		errs, err := s.InsertBatch(ctx, []*store.Issuance{row}, storetest.Now())
		return errors.Join(append(errs, err)...)
	})
	execute(t, replacing, "UPDATE authorities SET state = 'retiring'")
	if err := replacing.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-refused; !errors.Is(err, store.ErrIssuerInactive) {
		t.Errorf("error %v, want %v", err, store.ErrIssuerInactive)
	}
}

func TestALeaseDoesNotChangeHandsUnderAFencedWrite(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	lease, err := s.AcquireLease(ctx, "rotation", "one", time.Microsecond)
	if err != nil {
		t.Fatal(err)
	}
	writing := begin(t, s)
	if err := checkFence(ctx, writing, lease.Fence()); err != nil {
		t.Fatal(err)
	}
	taken := blocked(t, s, func() error {
		_, err := s.AcquireLease(ctx, "rotation", "two", time.Hour)
		return err
	})
	if err := writing.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-taken; err != nil {
		t.Fatal(err)
	}
	if err := checkFence(ctx, begin(t, s), lease.Fence()); !errors.Is(err, store.ErrFenced) {
		t.Errorf("afterwards: error %v, want %v", err, store.ErrFenced)
	}
}

func TestAWatchHearsAfterItHasAskedForASignOfLife(t *testing.T) {
	s, ctx := newStore(t), t.Context()
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer closeConn(ctx, conn)
	if _, err := conn.Exec(ctx, listenSQL); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if heard, err := listen(ctx, conn, time.Millisecond); heard || err != nil {
			t.Fatalf("listen = %t, %v, want nothing", heard, err)
		}
	}
	if err := s.CreateEntry(ctx, storetest.NewEntry("e", "spiffe://example.org/w"), storetest.NewAudit("entry.create", "e")); err != nil {
		t.Fatal(err)
	}
	if heard, err := listen(ctx, conn, time.Minute); !heard || err != nil {
		t.Errorf("listen = %t, %v, want a notification", heard, err)
	}
}
