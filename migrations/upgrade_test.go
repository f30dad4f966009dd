package migrations_test

import (
	"database/sql"
	"os"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/pando-ca/pando/migrations"
)

// upgraded makes a database of an earlier version, with what the statements put into it, and
// brings it to the latest.
func upgraded(t *testing.T, version int64, statements ...string) *sql.DB {
	t.Helper()
	ctx, db := t.Context(), openSQLite(t)
	first, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("sqlite"),
		goose.WithTableName("schema_version"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.UpTo(ctx, version); err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := migrations.Apply(ctx, db, migrations.SQLite); err != nil {
		t.Fatal(err)
	}
	return db
}

// TestUpgradeOfRevocations numbers what has been revoked before revocations were numbered.
func TestUpgradeOfRevocations(t *testing.T) {
	db := upgraded(t, 2, `INSERT INTO revocations (serial, issuer, not_after, revoked_at, reason)
		VALUES (x'01', 'i', 9, 30, 1), (x'02', 'i', 9, 10, 1), (x'03', 'i', 9, 10, 1)`)
	var last int
	if err := db.QueryRowContext(t.Context(), `SELECT seq FROM revocation_number`).Scan(&last); err != nil || last != 3 {
		t.Errorf("the last number is %d, %v, want 3", last, err)
	}
	for serial, want := range map[int]int{1: 3, 2: 1, 3: 2} {
		var seq int
		err := db.QueryRowContext(t.Context(), `SELECT seq FROM revocations WHERE serial = ?`, []byte{byte(serial)}).Scan(&seq)
		if err != nil || seq != want {
			t.Errorf("serial %d has number %d, %v, want %d", serial, seq, err, want)
		}
	}
}

// TestUpgradeOfAGeneration brings a database with authorities from the first version to the
// latest: the root was in the bundle from the beginning.
func TestUpgradeOfAGeneration(t *testing.T) {
	ctx := t.Context()
	db := upgraded(t, 1,
		`INSERT INTO generation (one, number, trust_domain, sequence, published_at, window_key) VALUES (1, 1, 'example.org', 7, 0, x'')`,
		`INSERT INTO authorities (position, id, role, state, parent_id, certificate, key, state_since)
		 VALUES (0, 'r', 'root', 'active', '', x'', x'', 0), (1, 'i', 'intermediate', 'active', 'r', x'', x'', 0)`)
	for id, want := range map[string]int{"r": 7, "i": 0} {
		var sequence int
		var cross []byte
		err := db.QueryRowContext(ctx, `SELECT sequence, cross_certificate FROM authorities WHERE id = ?`, id).Scan(&sequence, &cross)
		if err != nil || sequence != want || len(cross) != 0 {
			t.Errorf("%s: sequence %d, cross-certificate %x, %v, want %d and none", id, sequence, cross, err, want)
		}
	}
}
