package sqlite_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/sqlite"
	"github.com/pando-ca/pando/store/storetest"
)

func TestOpenRefusesASchemaThatItCannotRunOn(t *testing.T) {
	ctx, cfg := t.Context(), sqlite.Config{Dir: filepath.Join(t.TempDir(), "a new one")}
	if _, err := sqlite.Open(ctx, cfg); !errors.Is(err, store.ErrSchemaOld) {
		t.Errorf("Open of nothing: error %v, want %v", err, store.ErrSchemaOld)
	}
	if _, err := os.Stat(cfg.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open made %s: %v", cfg.Dir, err)
	}
	migrate(t, cfg)
	migrate(t, cfg)
	s := open(t, cfg)
	if err := sqlite.SetVersion(ctx, s, 99998, 13); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	migrate(t, cfg)
	s = open(t, cfg) // earlier binaries may run on it
	if err := sqlite.SetVersion(ctx, s, 99999, 99999); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(ctx, cfg); !errors.Is(err, store.ErrSchemaNew) {
		t.Errorf("Open of a newer database: error %v, want %v", err, store.ErrSchemaNew)
	}
	if err := sqlite.Migrate(ctx, cfg); !errors.Is(err, store.ErrSchemaNew) {
		t.Errorf("Migrate of a newer database: error %v, want %v", err, store.ErrSchemaNew)
	}
}

func TestOneProcessUsesADirectory(t *testing.T) {
	ctx, cfg := t.Context(), sqlite.Config{Dir: t.TempDir()}
	migrate(t, cfg)
	s := open(t, cfg)
	if _, err := sqlite.Open(ctx, cfg); !errors.Is(err, sqlite.ErrInUse) {
		t.Errorf("second Open: error %v, want %v", err, sqlite.ErrInUse)
	}
	if err := sqlite.Migrate(ctx, cfg); !errors.Is(err, sqlite.ErrInUse) {
		t.Errorf("Migrate beside it: error %v, want %v", err, sqlite.ErrInUse)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, cfg)
}

func TestTheFilesAreTheOwners(t *testing.T) {
	cfg := sqlite.Config{Dir: filepath.Join(t.TempDir(), "what? a #1 100% dir")}
	migrate(t, cfg)
	s := open(t, cfg)
	i := storetest.NewIssuance("spiffe://example.org/w", storetest.Now())
	if _, err := s.InsertBatch(t.Context(), []*store.Issuance{i}, storetest.Now()); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 3 { // the database, its log and the lock
		t.Errorf("files %v", files)
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("mode of %s is %o, want 600", file.Name(), got)
		}
	}
	if info, err := os.Stat(cfg.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v, %v, want mode 700", info.Mode(), err)
	}
}
