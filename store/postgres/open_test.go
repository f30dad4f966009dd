package postgres_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/postgres"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

func TestOpenRefusesASchemaThatItCannotRunOn(t *testing.T) {
	ctx := t.Context()
	cfg := postgres.Config{URL: pgtest.New(t)}
	if _, err := postgres.Open(ctx, cfg); !errors.Is(err, store.ErrSchemaOld) {
		t.Errorf("Open of an empty database: error %v, want %v", err, store.ErrSchemaOld)
	}
	if err := postgres.Migrate(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	open(t, cfg.URL)
	conn, err := pgx.Connect(ctx, cfg.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "INSERT INTO schema_version (version_id, is_applied) VALUES (99999, true)"); err != nil {
		t.Fatal(err)
	}
	open(t, cfg.URL) // earlier binaries may run on it
	if err := postgres.Migrate(ctx, cfg); err != nil {
		t.Errorf("Migrate of a newer database that is compatible: %v", err)
	}
	if _, err := conn.Exec(ctx, "UPDATE schema_compatibility SET since = 99999"); err != nil {
		t.Fatal(err)
	}
	if _, err := postgres.Open(ctx, cfg); !errors.Is(err, store.ErrSchemaNew) {
		t.Errorf("Open of a newer database: error %v, want %v", err, store.ErrSchemaNew)
	}
	if err := postgres.Migrate(ctx, cfg); !errors.Is(err, store.ErrSchemaNew) {
		t.Errorf("Migrate of a newer database: error %v, want %v", err, store.ErrSchemaNew)
	}
}

func TestReplicasMigrateAtOnce(t *testing.T) {
	cfg := postgres.Config{URL: pgtest.New(t)}
	var wait sync.WaitGroup
	for range 5 {
		wait.Go(func() {
			if err := postgres.Migrate(t.Context(), cfg); err != nil {
				t.Errorf("Migrate: %v", err)
			}
		})
	}
	wait.Wait()
	open(t, cfg.URL)
}

func TestOpenOverrulesCommitsThatAreNotDurable(t *testing.T) {
	ctx, url := t.Context(), migrated(t)
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	var database string
	if err := conn.QueryRow(ctx, "SELECT current_database()").Scan(&database); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(ctx, "ALTER DATABASE "+database+" SET synchronous_commit = off"); err != nil {
		t.Fatal(err)
	}
	s := open(t, url)
	got, err := postgres.Setting(ctx, s, "synchronous_commit")
	if err != nil {
		t.Fatal(err)
	}
	if got != "on" {
		t.Errorf("synchronous_commit = %s, want on", got)
	}
}

// TestAStoppedReplicaLosesItsLocks, unless the administrator has chosen for how long it has them.
func TestAStoppedReplicaLosesItsLocks(t *testing.T) {
	for chosen, want := range map[string]string{"0": "20s", "5s": "5s"} {
		url := migrated(t)
		conn := connect(t, url)
		var database string
		if err := conn.QueryRow(t.Context(), "SELECT current_database()").Scan(&database); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), "ALTER DATABASE "+database+" SET idle_in_transaction_session_timeout = '"+chosen+"'"); err != nil {
			t.Fatal(err)
		}
		got, err := postgres.Setting(t.Context(), open(t, url), "idle_in_transaction_session_timeout")
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("with %s it is %s, want %s", chosen, got, want)
		}
	}
}

func TestOpenRefusesAURLThatIsNone(t *testing.T) {
	if _, err := postgres.Open(t.Context(), postgres.Config{URL: "postgres://a:secret@[::1"}); err == nil {
		t.Error("Open of a malformed URL: no error")
	}
}
