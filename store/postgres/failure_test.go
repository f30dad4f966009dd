package postgres_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/internal/pgserver"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/postgres"
	"github.com/pando-ca/pando/store/storetest"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// start starts a server of its own for a test that breaks it, with the current schema.
func start(t *testing.T) *pgserver.Server {
	t.Helper()
	server := pgtest.Start(t, pgserver.Config{})
	if err := postgres.Migrate(t.Context(), postgres.Config{URL: server.URL("postgres")}); err != nil {
		t.Fatal(err)
	}
	return server
}

// insertOne inserts one certificate and returns its serial number.
func insertOne(ctx context.Context, s *postgres.Store) (store.Serial, error) {
	i := storetest.NewIssuance("spiffe://example.org/w", storetest.Now())
	errs, err := s.InsertBatch(ctx, []*store.Issuance{i}, storetest.Now())
	if err == nil {
		err = errs[0]
	}
	return i.Serial, err
}

// eventually waits until f succeeds.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: error %v meanwhile, want %v", what, err, store.ErrUnavailable)
		}
	}
}

func TestADatabaseThatIsGoneIsUnavailableUntilItIsBack(t *testing.T) {
	ctx, server := t.Context(), start(t)
	s := open(t, server.URL("postgres"))
	kept, err := insertOne(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	audit := storetest.NewAudit("a", "b")
	bulk := store.BulkRevocation{Selector: store.Selector{Issuer: "i"}, At: storetest.Now(), Audit: audit}
	for name, do := range map[string]func() error{
		"InsertBatch":        func() error { _, err := insertOne(ctx, s); return err },
		"Record":             func() error { _, err := s.Record(ctx, kept); return err },
		"Records":            func() error { _, err := s.Records(ctx, store.RecordFilter{Limit: 1}); return err },
		"Revoke":             func() error { return s.Revoke(ctx, kept, storetest.Now(), 1, audit) },
		"BlockKey":           func() error { return s.BlockKey(ctx, [32]byte{1}, storetest.Now(), audit) },
		"RevokeSelected":     func() error { _, _, err := s.RevokeSelected(ctx, bulk); return err },
		"CountSelected":      func() error { _, err := s.CountSelected(ctx, bulk.Selector, bulk.At); return err },
		"RevocationsSince":   func() error { _, err := s.RevocationsSince(ctx, 0, storetest.Now(), 1); return err },
		"RevocationSequence": func() error { _, err := s.RevocationSequence(ctx); return err },
		"PruneRevocations":   func() error { return s.PruneRevocations(ctx, storetest.Now(), storetest.Now()) },
		"CreateEntry":        func() error { return s.CreateEntry(ctx, storetest.NewEntry("e", "x"), audit) },
		"Entries":            func() error { _, err := s.Entries(ctx, store.EntryFilter{Limit: 1}); return err },
		"EntryVersion":       func() error { _, err := s.EntryVersion(ctx); return err },
		"Token":              func() error { _, err := s.Token(ctx, [32]byte{1}); return err },
		"Generation":         func() error { _, err := s.Generation(ctx); return err },
		"ReplaceGeneration":  func() error { return s.ReplaceGeneration(ctx, 0, store.Generation{Number: 1}, store.Fence{}, audit) },
		"GenerationNumber":   func() error { _, err := s.GenerationNumber(ctx); return err },
		"Watch":              func() error { return s.Watch(ctx, func() {}) },
		"AcquireLease":       func() error { _, err := s.AcquireLease(ctx, "l", "h", time.Hour); return err },
		"ReleaseLease":       func() error { return s.ReleaseLease(ctx, store.Lease{Name: "l", Holder: "h", Term: 1}) },
		"Acknowledge":        func() error { return s.Acknowledge(ctx, []store.Ack{{Serial: kept, NotAfter: storetest.Now()}}) },
		"Facts":              func() error { _, err := s.Facts(ctx, storetest.Now()); return err },
		"Audits":             func() error { _, err := s.Audits(ctx, store.AuditFilter{Limit: 1}); return err },
		"AppendAudit":        func() error { return s.AppendAudit(ctx, audit) },
		"Prepare":            func() error { return s.Prepare(ctx, storetest.Now(), storetest.Now()) },
		"Prune":              func() error { return s.Prune(ctx, storetest.Now(), storetest.Now()) },
		"Ping":               func() error { return s.Ping(ctx) },
	} {
		if err := do(); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: error %v, want %v", name, err, store.ErrUnavailable)
		}
	}
	if _, err := postgres.Open(ctx, postgres.Config{URL: server.URL("postgres")}); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Open: error %v, want %v", err, store.ErrUnavailable)
	}
	if err := server.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	eventually(t, "insert after the restart", func() error { _, err := insertOne(ctx, s); return err })
	if _, err := s.Record(ctx, kept); err != nil {
		t.Errorf("record from before the crash: %v", err)
	}
}

func TestWhatWasReportedAsWrittenSurvivesKills(t *testing.T) {
	ctx, server := t.Context(), start(t)
	s := open(t, server.URL("postgres"))
	var (
		mu      sync.Mutex
		written []store.Serial
		wait    sync.WaitGroup
	)
	progress := make(chan struct{}, 1) // a certificate was written; nobody waits to tell
	stop := make(chan struct{})
	for range 4 {
		wait.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				serial, err := insertOne(ctx, s)
				if err == nil {
					mu.Lock()
					written = append(written, serial)
					mu.Unlock()
					select {
					case progress <- struct{}{}:
					default:
					}
				} else if !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("insert: error %v, want %v", err, store.ErrUnavailable)
				}
			}
		})
	}
	for range 3 {
		for range 20 {
			<-progress
		}
		if err := server.Kill(); err != nil {
			t.Error(err)
		}
		if err := server.Restart(ctx); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wait.Wait()
	for _, serial := range written {
		eventually(t, "record", func() error { _, err := s.Record(ctx, serial); return err })
	}
}

func TestALostAnswerIsAnErrorThoughTheRowIsThere(t *testing.T) {
	ctx, server := t.Context(), start(t)
	proxy := pgtest.NewProxy(t, server)
	s, direct := open(t, proxy.URL("postgres")), open(t, server.URL("postgres"))
	if _, err := insertOne(ctx, s); err != nil { // a connection with its statements prepared
		t.Fatal(err)
	}
	proxy.DropAnswers()
	serial, err := insertOne(ctx, s)
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("insert: error %v, want %v", err, store.ErrUnavailable)
	}
	if _, err := direct.Record(ctx, serial); err != nil {
		t.Errorf("record of the lost answer: %v", err)
	}
	proxy.Refuse()
	serial, err = insertOne(ctx, s)
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("insert without a network: error %v, want %v", err, store.ErrUnavailable)
	}
	if _, err := direct.Record(ctx, serial); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("record without a network: error %v, want %v", err, store.ErrNotFound)
	}
	proxy.Pass()
	eventually(t, "insert with a network again", func() error { _, err := insertOne(ctx, s); return err })
}

func TestADeadlineEndsAnInsertionThatWaits(t *testing.T) {
	server := start(t)
	s := open(t, server.URL("postgres"))
	conn, err := pgx.Connect(t.Context(), server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE certificates IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	serial, err := insertOne(ctx, s)
	if !errors.Is(err, store.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("insert: error %v, want %v and %v", err, store.ErrUnavailable, context.DeadlineExceeded)
	}
	if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Record(t.Context(), serial); err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
	if _, err := insertOne(t.Context(), s); err != nil {
		t.Errorf("insert after the lock is gone: %v", err)
	}
}

func TestAServerThatTurnsReadOnlyIsUnavailable(t *testing.T) {
	ctx, server := t.Context(), start(t)
	s := open(t, server.URL("postgres"))
	set := func(value string) {
		t.Helper()
		conn, err := pgx.Connect(ctx, server.URL("template1"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		for _, sql := range []string{"ALTER SYSTEM SET default_transaction_read_only = " + value, "SELECT pg_reload_conf()"} {
			if _, err := conn.Exec(ctx, sql); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := insertOne(ctx, s); err != nil {
		t.Fatal(err)
	}
	set("on")
	deadline := time.Now().Add(10 * time.Second)
	for err := error(nil); !errors.Is(err, store.ErrUnavailable); { // the setting takes a moment
		if _, err = insertOne(ctx, s); err != nil && !errors.Is(err, store.ErrUnavailable) || time.Now().After(deadline) {
			t.Fatalf("insert: error %v, want %v", err, store.ErrUnavailable)
		}
	}
	if err := s.Ping(ctx); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Ping: error %v, want %v", err, store.ErrUnavailable)
	}
	conn, err := pgx.Connect(ctx, server.URL("template1")+"&options=-c%20default_transaction_read_only%3Doff")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, sql := range []string{"ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "insert when it accepts writes again", func() error { _, err := insertOne(ctx, s); return err })
}

func TestAWatchThatIsCutOffSaysSo(t *testing.T) {
	ctx, server := t.Context(), start(t)
	s := open(t, server.URL("postgres"))
	listens, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() { ended <- s.Watch(ctx, func() { listens <- struct{}{} }) }()
	<-listens
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("Watch: error %v, want %v", err, store.ErrUnavailable)
		}
	case <-time.After(10 * time.Second):
		t.Error("Watch has not noticed")
	}
}
