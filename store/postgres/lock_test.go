package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/postgres"
	"github.com/pando-ca/pando/store/storetest"
)

const (
	issuanceLock = "8097874982633829235" // see lock_shared.sql
	auditLock    = "8097874982633305444" // see audit_lock.sql
)

// Under a stricter isolation the snapshot of an insertion would be older than its lock.
func TestRevocationHoldsWhateverTheDefaultIsolation(t *testing.T) {
	ctx, server := t.Context(), start(t)
	caller, err := insertOne(ctx, open(t, server.URL("postgres")))
	if err != nil {
		t.Fatal(err)
	}
	other, err := pgx.Connect(ctx, server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close(context.WithoutCancel(ctx))
	if _, err := other.Exec(ctx, "ALTER DATABASE postgres SET default_transaction_isolation = 'repeatable read'"); err != nil {
		t.Fatal(err)
	}
	s := open(t, server.URL("postgres"))
	// What Revoke does, held open.
	tx, err := other.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock("+issuanceLock+")"); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, "INSERT INTO revocations VALUES ($1, 'x', now(), now(), 0, 1)", caller[:]); err != nil {
		t.Fatal(err)
	}
	i := storetest.NewIssuance("spiffe://example.org/w", storetest.Now())
	i.CallerSerial = caller
	done := make(chan error, 1)
	go func() {
		errs, err := s.InsertBatch(ctx, []*store.Issuance{i}, storetest.Now())
		done <- errors.Join(append(errs, err)...)
	}()
	awaitWaiter(t, server.URL("postgres"))
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, store.ErrCallerRevoked) {
		t.Errorf("a revoked caller's insertion gives %v", err)
	}
}

// awaitWaiter returns once a session waits for an advisory lock.
func awaitWaiter(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	for waiting := false; !waiting; time.Sleep(5 * time.Millisecond) {
		err := conn.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)").Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A replica that is stopped in the middle of an insertion holds the shared lock. Whoever waits
// for it must not hold up the insertions of the others.
func TestAStoppedReplicaHoldsUpNoInsertion(t *testing.T) {
	ctx, server := t.Context(), start(t)
	s := open(t, server.URL("postgres"))
	if _, err := insertOne(ctx, s); err != nil { // its partition is there
		t.Fatal(err)
	}
	stopped, err := pgx.Connect(ctx, server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer stopped.Close(context.WithoutCancel(ctx))
	tx, err := stopped.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock_shared("+issuanceLock+")"); err != nil {
		t.Fatal(err)
	}
	if err := s.CreateEntry(ctx, storetest.NewEntry("ent_x", "spiffe://example.org/w"), storetest.NewAudit("entry.create", "ent_x")); err != nil {
		t.Fatal(err)
	}
	deleted := make(chan error, 1)
	go func() { deleted <- s.DeleteEntry(ctx, "ent_x", storetest.NewAudit("entry.delete", "ent_x")) }()
	awaitWaiter(t, server.URL("postgres"))
	// The deletion waits a second at a time; insertions pass in between.
	soon, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := insertOne(soon, s); err != nil {
		t.Errorf("an insertion beside it gives %v", err)
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-deleted; err != nil {
		t.Errorf("the deletion gives %v once the replica is gone", err)
	}
}

// A replica that is stopped while it commits a change holds the lock of the chain of audit rows.
// Other changes wait for it; insertions do not.
func TestAStoppedChangeHoldsUpNoInsertion(t *testing.T) {
	ctx, url := t.Context(), migrated(t)
	s, stopped := open(t, url), connect(t, url)
	if _, err := insertOne(ctx, s); err != nil { // its partition is there
		t.Fatal(err)
	}
	tx, err := stopped.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock("+auditLock+")"); err != nil {
		t.Fatal(err)
	}
	revoked := make(chan error, 1)
	go func() { revoked <- s.BlockKey(ctx, [32]byte{1}, storetest.Now(), storetest.NewAudit("key.block", "k")) }()
	awaitWaiter(t, url)
	soon, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := insertOne(soon, s); err != nil {
		t.Errorf("an insertion beside it gives %v", err)
	}
	if err := tx.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-revoked; err != nil {
		t.Errorf("the change gives %v", err)
	}
}

// A replica that is stopped while it commits a change loses the lock after a while, and its change:
// it may be tried again.
func TestAStoppedChangeIsGivenUp(t *testing.T) {
	s := open(t, migrated(t))
	err := postgres.Stop(t.Context(), s, func() { // until another change has got the lock
		if err := s.BlockKey(t.Context(), [32]byte{1}, storetest.Now(), storetest.NewAudit("key.block", "k")); err != nil {
			t.Error(err)
		}
	})
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("the change that was stopped gives %v, want %v", err, store.ErrUnavailable)
	}
}
