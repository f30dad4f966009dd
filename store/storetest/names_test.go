package storetest

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestBothStoresHaveTheSameFiles keeps the two implementations alike: who has read one finds
// the way through the other.
func TestBothStoresHaveTheSameFiles(t *testing.T) {
	for folder, alone := range map[string]map[string]string{
		"": {
			"columns.go":      "Postgres: rows are sent as columns",
			"refusal.go":      "Postgres: refusals are read after the commit, of many rows",
			"partitions.go":   "Postgres: SQLite keeps one table",
			"list.go":         "Postgres: SQLite is told which index to use in the query",
			"database.go":     "SQLite: database/sql in place of a pool",
			"statements.go":   "SQLite: pgx prepares by itself",
			"lock.go":         "SQLite: one process",
			"lock_windows.go": "SQLite: one process",
		},
		"queries": {
			"session.sql":                 "Postgres: in the connection string of SQLite",
			"list_plan.sql":               "Postgres: SQLite is told which index to use in the query",
			"count_plan.sql":              "Postgres: SQLite has another planner",
			"clock.sql":                   "Postgres: the clock of SQLite is the process's",
			"audit_lock.sql":              "Postgres: SQLite has one writer",
			"lock_shared.sql":             "Postgres: SQLite has one writer",
			"lock_exclusive.sql":          "Postgres: SQLite has one writer",
			"partition_create.sql":        "Postgres: SQLite keeps one table",
			"partition_detach.sql":        "Postgres: SQLite keeps one table",
			"partition_detach_finish.sql": "Postgres: SQLite keeps one table",
			"partition_drop.sql":          "Postgres: SQLite keeps one table",
			"partition_list.sql":          "Postgres: SQLite keeps one table",
			"partition_lock.sql":          "Postgres: SQLite keeps one table",
			"partition_unlock.sql":        "Postgres: SQLite keeps one table",
			"prune_certificates.sql":      "SQLite: Postgres drops partitions",
			"insert_once.sql":             "Postgres: a batch in one statement",
			"listen.sql":                  "Postgres: SQLite has one process",
			"notify.sql":                  "Postgres: SQLite has one process",
			"snapshot_begin.sql":          "Postgres: SQLite has no such bounds",
			"restored_audit.sql":          "Postgres: SQLite counts on by itself",
			"restore_row.sql":             "SQLite: Postgres copies",
			"acknowledge_replaced.sql":    "SQLite: row by row",
			"insert_undo.sql":             "SQLite: row by row",
			"consume_token.sql":           "SQLite: row by row",
			"consume_replay.sql":          "SQLite: row by row",
		},
	} {
		postgres, sqlite := sources(t, filepath.Join("../postgres", folder)), sources(t, filepath.Join("../sqlite", folder))
		for _, name := range slices.Sorted(maps.Keys(postgres)) {
			if !sqlite[name] && alone[name] == "" {
				t.Errorf("postgres/%s/%s has no counterpart", folder, name)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(sqlite)) {
			if !postgres[name] && alone[name] == "" {
				t.Errorf("sqlite/%s/%s has no counterpart", folder, name)
			}
		}
		for name := range alone {
			if postgres[name] == sqlite[name] {
				t.Errorf("%s is listed as being of one store: postgres %t, sqlite %t", name, postgres[name], sqlite[name])
			}
		}
	}
}

// sources are the files of a folder, without tests.
func sources(t *testing.T, folder string) map[string]bool {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	names := make(map[string]bool)
	for _, entry := range entries {
		if match, _ := filepath.Match("*_test.go", entry.Name()); !entry.IsDir() && !match {
			names[entry.Name()] = true
		}
	}
	return names
}
