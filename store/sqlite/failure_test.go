package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	driver "modernc.org/sqlite"

	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/sqlite"
	"github.com/pando-ca/pando/store/storetest"
)

// insertMany inserts certificates that need a few hundred pages.
func insertMany(ctx context.Context, s *sqlite.Store) (*store.Issuance, error) {
	batch := make([]*store.Issuance, 500)
	for n := range batch {
		batch[n] = storetest.NewIssuance("spiffe://example.org/w", storetest.Now())
	}
	errs, err := s.InsertBatch(ctx, batch, storetest.Now())
	return batch[0], errors.Join(append(errs, err)...)
}

func wantRecord(t *testing.T, s *sqlite.Store, i *store.Issuance, want error) {
	t.Helper()
	if _, err := s.Record(t.Context(), i.Serial); !errors.Is(err, want) {
		t.Errorf("record: error %v, want %v", err, want)
	}
}

func TestAFullDiskIsUnavailableAndKeepsNothing(t *testing.T) {
	ctx, cfg := t.Context(), sqlite.Config{Dir: t.TempDir()}
	migrate(t, cfg)
	s := open(t, cfg)
	kept, err := insertMany(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := sqlite.LimitPages(ctx, s, true); err != nil {
		t.Fatal(err)
	}
	lost, err := insertMany(ctx, s)
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("insert: error %v, want %v", err, store.ErrUnavailable)
	}
	wantRecord(t, s, lost, store.ErrNotFound)
	wantRecord(t, s, kept, nil)
	if err := sqlite.LimitPages(ctx, s, false); err != nil {
		t.Fatal(err)
	}
	if _, err := insertMany(ctx, s); err != nil {
		t.Errorf("insert with space again: %v", err)
	}
}

func TestALockedFileIsUnavailable(t *testing.T) {
	ctx, cfg := t.Context(), sqlite.Config{Dir: t.TempDir()}
	migrate(t, cfg)
	s := open(t, cfg)
	connector, err := driver.NewConnector("file:" + filepath.Join(cfg.Dir, "pando.db"))
	if err != nil {
		t.Fatal(err)
	}
	intruder := sql.OpenDB(connector) // one that does not ask for the lock of the directory
	defer intruder.Close()
	conn, err := intruder.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	lost, err := insertMany(ctx, s)
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("insert: error %v, want %v", err, store.ErrUnavailable)
	}
	if err := s.Ping(ctx); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Ping: error %v, want %v", err, store.ErrUnavailable)
	}
	if _, err := conn.ExecContext(ctx, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	wantRecord(t, s, lost, store.ErrNotFound)
	if _, err := insertMany(ctx, s); err != nil {
		t.Errorf("insert when the file is free again: %v", err)
	}
}

func TestAClosedStoreIsUnavailable(t *testing.T) {
	cfg := sqlite.Config{Dir: t.TempDir()}
	migrate(t, cfg)
	s := open(t, cfg)
	kept, err := insertMany(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Ping: error %v, want %v", err, store.ErrUnavailable)
	}
	wantRecord(t, open(t, cfg), kept, nil)
}

func TestCommitsAreSyncedToTheDisk(t *testing.T) {
	cfg := sqlite.Config{Dir: t.TempDir()}
	migrate(t, cfg)
	s := open(t, cfg)
	for name, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1"} {
		if got, err := sqlite.Pragma(t.Context(), s, name); err != nil || got != want {
			t.Errorf("%s = %s, %v, want %s", name, got, err, want)
		}
	}
}

func TestListingsUseAnIndex(t *testing.T) {
	cfg := sqlite.Config{Dir: t.TempDir()}
	migrate(t, cfg)
	s := open(t, cfg)
	for name, test := range map[string]struct {
		filter store.RecordFilter
		index  string
	}{
		"by identity": {store.RecordFilter{SPIFFEID: "spiffe://example.org/w", State: store.StateLive}, "certificates_spiffe_id"},
		"by issuer":   {store.RecordFilter{Issuer: "i"}, "certificates_issuer"},
		"by expiry":   {store.RecordFilter{ExpiresBefore: storetest.Now()}, "certificates_not_after"},
		"revoked":     {store.RecordFilter{State: store.StateRevoked}, "revocations_not_after"},
	} {
		query, args := sqlite.Listing(test.filter)
		plan, err := sqlite.Plan(t.Context(), s, query, args...)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(plan, test.index) || strings.Contains(plan, "SCAN c\n") {
			t.Errorf("%s: plan does not use %s:\n%s", name, test.index, plan)
		}
	}
}

func TestFactsCountByIndex(t *testing.T) {
	cfg := sqlite.Config{Dir: t.TempDir()}
	migrate(t, cfg)
	s := open(t, cfg)
	for query, index := range map[string]string{
		sqlite.FactsIssuers:   "USING COVERING INDEX certificates_issuer (issuer=? AND not_after>?)",
		sqlite.FactsFollowers: "USING COVERING INDEX acks_not_after (not_after>?)",
	} {
		plan, err := sqlite.Plan(t.Context(), s, query, storetest.Now().UnixMicro())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(plan, index) || strings.Contains(plan, "SCAN c\n") || strings.Contains(plan, "SCAN a\n") {
			t.Errorf("plan does not use %s:\n%s", index, plan)
		}
	}
}
