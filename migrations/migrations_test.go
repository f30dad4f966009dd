package migrations_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"modernc.org/sqlite"

	"github.com/pando-ca/pando/migrations"
)

// openSQLite opens an empty database. That of Postgres is tested where a server is at hand,
// in store/postgres.
func openSQLite(t *testing.T) *sql.DB {
	t.Helper()
	connector, err := sqlite.NewConnector("file:" + filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

func wantVersion(t *testing.T, db *sql.DB, want int64, wantErr error) {
	t.Helper()
	got, err := migrations.Version(t.Context(), db, migrations.SQLite)
	if err != nil || got != want {
		t.Errorf("Version = %d, %v, want %d", got, err, want)
	}
	if err := migrations.Check(t.Context(), db, migrations.SQLite); !errors.Is(err, wantErr) {
		t.Errorf("Check: error %v, want %v", err, wantErr)
	}
}

func TestApplyBringsADatabaseToTheLatestVersion(t *testing.T) {
	db := openSQLite(t)
	latest, err := migrations.Latest(migrations.SQLite)
	if err != nil || latest == 0 {
		t.Fatalf("Latest = %d, %v", latest, err)
	}
	wantVersion(t, db, 0, migrations.ErrOlder)
	var tables int
	if err := db.QueryRow("SELECT count(*) FROM sqlite_master").Scan(&tables); err != nil || tables != 0 {
		t.Errorf("%d tables after Check, %v, want none", tables, err)
	}
	for range 2 { // the second time there is nothing to do
		if err := migrations.Apply(t.Context(), db, migrations.SQLite); err != nil {
			t.Fatal(err)
		}
		wantVersion(t, db, latest, nil)
	}
	if _, err := db.Exec("INSERT INTO schema_version (version_id, is_applied) VALUES (?, true)", latest+1); err != nil {
		t.Fatal(err)
	}
	wantVersion(t, db, latest+1, nil) // earlier binaries may run on it
	if _, err := db.Exec("UPDATE schema_compatibility SET since = ?", latest+1); err != nil {
		t.Fatal(err)
	}
	wantVersion(t, db, latest+1, migrations.ErrNewer)
	if err := migrations.Apply(t.Context(), db, migrations.SQLite); !errors.Is(err, migrations.ErrNewer) {
		t.Errorf("Apply to a newer database: error %v, want %v", err, migrations.ErrNewer)
	}
}

func TestBothDatabasesHaveTheSameVersions(t *testing.T) {
	postgres, err := migrations.Latest(migrations.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	sqlite, err := migrations.Latest(migrations.SQLite)
	if err != nil {
		t.Fatal(err)
	}
	if postgres != sqlite {
		t.Errorf("version %d of Postgres, %d of SQLite", postgres, sqlite)
	}
}
