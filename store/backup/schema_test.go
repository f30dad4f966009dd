package backup_test

import (
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/backup"
	"github.com/pando-ca/pando/store/postgres"
	"github.com/pando-ca/pando/store/sqlite"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// TestEveryColumnIsConsidered compares both schemas with what is backed up and what is left out. It
// fails for who adds a table or a column and does not say which of them it is: see store.BackedUp.
func TestEveryColumnIsConsidered(t *testing.T) {
	listed := make(map[string]bool)
	for _, table := range store.TablesAt(latest(t)) {
		for _, c := range table.Columns {
			listed[table.Name+"."+c.Name] = true
		}
	}
	for engine, list := range map[string]func(*testing.T) []string{"sqlite": sqliteColumns, "postgres": postgresColumns} {
		t.Run(engine, func(t *testing.T) {
			there, reasons := make(map[string]bool), store.LeftOut()
			for _, column := range list(t) {
				table, _, _ := strings.Cut(column, ".")
				switch {
				case reasons[table] != "":
				case reasons[column] != "":
				default:
					there[column] = true
				}
			}
			if diff := cmp.Diff(slices.Sorted(maps.Keys(listed)), slices.Sorted(maps.Keys(there))); diff != "" {
				t.Errorf("store.BackedUp (-) and the schema (+) differ; add what is missing there, or to store.LeftOut with the reason:\n%s", diff)
			}
		})
	}
	for name, reason := range store.LeftOut() {
		if reason == "" || listed[name] {
			t.Errorf("%s is left out and backed up, or for no reason", name)
		}
	}
}

func sqliteColumns(t *testing.T) []string {
	dir := t.TempDir()
	if err := sqlite.Migrate(t.Context(), sqlite.Config{Dir: dir}); err != nil {
		t.Fatal(err)
	}
	return columns(t, "sqlite", filepath.Join(dir, "pando.db"),
		`SELECT t.name || '.' || c.name FROM sqlite_master AS t, pragma_table_info(t.name) AS c
		WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'`)
}

func postgresColumns(t *testing.T) []string {
	url := pgtest.New(t)
	if err := postgres.Migrate(t.Context(), postgres.Config{URL: url}); err != nil {
		t.Fatal(err)
	}
	return columns(t, "pgx", url, `SELECT c.relname || '.' || a.attname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
		WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
		AND a.attnum > 0 AND NOT a.attisdropped`)
}

func columns(t *testing.T, driver, name, query string) (all []string) {
	t.Helper()
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var column string
		if err := rows.Scan(&column); err != nil {
			t.Fatal(err)
		}
		all = append(all, column)
	}
	if len(all) < 50 || rows.Err() != nil {
		t.Fatal(fmt.Errorf("%d columns: %w", len(all), rows.Err()))
	}
	return all
}

// TestABinaryThatIsBehindMakesNoBackup: it would leave out what a newer one has added, and call the
// backup good.
func TestABinaryThatIsBehindMakesNoBackup(t *testing.T) {
	for _, engine := range []string{"sqlite", "postgres"} {
		lock, _, _ := keys(t)
		s := empty(t, engine)
		newWorld(t, s)
		cfg := config(t, s, lock)
		cfg.Schema--
		if _, err := backup.Create(t.Context(), cfg, time.Now()); !errors.Is(err, store.ErrSchemaNew) {
			t.Errorf("%s: %v, want %v", engine, err, store.ErrSchemaNew)
		}
	}
}
