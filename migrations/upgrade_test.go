package migrations_test

import (
	"os"
	"testing"

	"github.com/pressly/goose/v3"

	"github.com/pando-ca/pando/migrations"
)

// TestUpgradeOfAGeneration brings a database with authorities from the first version to the
// latest: the root was in the bundle from the beginning.
func TestUpgradeOfAGeneration(t *testing.T) {
	ctx, db := t.Context(), openSQLite(t)
	first, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("sqlite"),
		goose.WithTableName("schema_version"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.UpTo(ctx, 1); err != nil {
		t.Fatal(err)
	}
	for _, insert := range []string{
		`INSERT INTO generation (one, number, trust_domain, sequence, published_at, window_key) VALUES (1, 1, 'example.org', 7, 0, x'')`,
		`INSERT INTO authorities (position, id, role, state, parent_id, certificate, key, state_since)
		 VALUES (0, 'r', 'root', 'active', '', x'', x'', 0), (1, 'i', 'intermediate', 'active', 'r', x'', x'', 0)`,
	} {
		if _, err := db.ExecContext(ctx, insert); err != nil {
			t.Fatal(err)
		}
	}
	if err := migrations.Apply(ctx, db, migrations.SQLite); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]int{"r": 7, "i": 0} {
		var sequence int
		var cross []byte
		err := db.QueryRowContext(ctx, `SELECT sequence, cross_certificate FROM authorities WHERE id = ?`, id).Scan(&sequence, &cross)
		if err != nil || sequence != want || len(cross) != 0 {
			t.Errorf("%s: sequence %d, cross-certificate %x, %v, want %d and none", id, sequence, cross, err, want)
		}
	}
}
