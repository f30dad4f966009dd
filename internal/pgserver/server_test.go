package pgserver_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/internal/pgserver"
)

func TestServerKeepsItsDataOverAKillAndLeavesNothingBehind(t *testing.T) {
	ctx := t.Context()
	server, err := pgserver.Start(ctx, pgserver.Config{Settings: map[string]string{"work_mem": "7MB"}})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(server.SocketPath())
	stopped := false
	defer func() {
		if !stopped {
			_ = server.Stop()
		}
	}()

	query := func(sql string) string {
		t.Helper()
		conn, err := pgx.Connect(ctx, server.URL("postgres"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		var answer string
		if err := conn.QueryRow(ctx, sql).Scan(&answer); err != nil {
			t.Fatal(err)
		}
		return answer
	}
	if got := query("SHOW work_mem"); got != "7MB" {
		t.Errorf("work_mem = %s, want 7MB", got)
	}
	if got := query("WITH t AS (SELECT 1) SELECT set_config('a.b', 'kept', false)"); got != "kept" {
		t.Errorf("answer = %q, want kept", got)
	}
	query("SELECT pg_create_physical_replication_slot('witness')::text")

	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := pgx.Connect(ctx, server.URL("postgres")); err == nil {
		t.Error("a killed server answers")
	}
	if err := server.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	if got := query("SELECT slot_name FROM pg_replication_slots"); got != "witness" {
		t.Errorf("after a kill: %q, want witness", got)
	}
	stopped = true
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("directory of a stopped server: %v, want not exist", err)
	}
}
