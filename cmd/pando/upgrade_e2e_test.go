package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/pando-ca/pando/migrations"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// The migrations of a release that follows: all that is allowed, and then a step that this binary
// cannot stand.
const (
	nextExpands = `
ALTER TABLE certificates ADD COLUMN later text, ADD COLUMN counted bigint NOT NULL DEFAULT 0;
ALTER TABLE entries ADD COLUMN later text NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN later text;
ALTER TABLE acks ADD COLUMN later boolean NOT NULL DEFAULT false;
ALTER TABLE revocations ADD COLUMN later text;
CREATE TABLE later (id text PRIMARY KEY, entry text NOT NULL);
CREATE INDEX entries_later ON entries (later);
`
	nextContracts = `
ALTER TABLE figures RENAME COLUMN data TO contents;
UPDATE schema_compatibility SET since = 90000 WHERE since < 90000;
`
)

// laterRelease applies what a later release has beside the migrations of this tree.
func laterRelease(t *testing.T, url string, added map[string]string) {
	t.Helper()
	files, folder := fstest.MapFS{}, os.DirFS("../../migrations/postgres")
	names, err := fs.Glob(folder, "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(folder, name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: text}
	}
	for name, text := range added {
		files[name] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + text)}
	}
	set, err := migrations.New(migrations.Postgres, files)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	if err := set.Apply(t.Context(), db); err != nil {
		t.Fatal(err)
	}
}

// strictLoad signs in a loop, as load does, and counts what fails.
func (d *deployment) strictLoad(t *testing.T, clients int) (h *held, failures func() []string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	h = newHeld()
	var (
		running sync.WaitGroup
		mu      sync.Mutex
		failed  []string
	)
	for range clients {
		client := d.client(t, true)
		running.Go(func() {
			for ctx.Err() == nil {
				serial, err := client.sign(context.WithoutCancel(ctx))
				if err == nil {
					h.add(serial)
					continue
				}
				mu.Lock()
				failed = append(failed, err.Error())
				mu.Unlock()
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return h, func() []string {
		cancel()
		running.Wait()
		return failed
	}
}

// TestUpgradeUnderLoad applies the migrations of the next release under a replica of this one that
// issues without a pause: no request fails, and another replica of this release starts on what it has
// become. A release after it takes away what this one needs: it says so, and this one does not start.
func TestUpgradeUnderLoad(t *testing.T) {
	url := pgtest.New(t)
	d := newDeployment(t, url)
	p := d.serve(t)
	h, failures := d.strictLoad(t, 4)
	h.await(t, p, 50)
	laterRelease(t, url, map[string]string{"90000_next.sql": nextExpands})
	migrated := h.count()

	another := d.replica(t)
	q := another.serve(t)
	if _, err := another.client(t, true).sign(t.Context()); err != nil {
		t.Errorf("a replica of this release on the next schema: %v", err)
	}
	h.await(t, p, migrated+50)
	if failed := failures(); len(failed) != 0 {
		t.Errorf("%d of %d requests failed: %.300q", len(failed), h.count()+len(failed), failed)
	}
	t.Logf("%d certificates, %d of them on the next schema", h.count(), h.count()-migrated)
	if missing := h.missing(d.recorded(t)); len(missing) > 0 {
		t.Errorf("%d of %d certificates have no record", len(missing), h.count())
	}
	for _, args := range [][]string{{"migrate", "--data", d.data}, {"migrate", "--dry-run", "--data", d.data}} {
		if code, out, errs := runPando(t, args...); code != exitOK {
			t.Errorf("pando %s: %d: %s%s", strings.Join(args, " "), code, out, errs)
		}
	}
	for _, running := range []*process{p, q} {
		if code := running.end(t, syscall.SIGTERM); code != exitOK {
			t.Errorf("exit code %d", code)
		}
	}

	laterRelease(t, url, map[string]string{"90000_next.sql": nextExpands, "90001_after.sql": nextContracts})
	latest, err := migrations.Latest(migrations.Postgres)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("version 90001, for binaries of 90000 and later, have %d", latest)
	if code, errs := d.refusedServe(t); code != exitFailed || !strings.Contains(errs, want) || !strings.Contains(errs, "install the newer pando") {
		t.Errorf("on a schema that is not for it: exit code %d, %s, want %q", code, errs, want)
	}
	if code, errs := d.refusedServe(t, "PANDO_MIGRATE=true"); code != exitFailed || !strings.Contains(errs, want) {
		t.Errorf("with --migrate: exit code %d, %s", code, errs)
	}
	_, out, _ := runPando(t, "migrate", "--dry-run", "--data", d.data)
	if !strings.Contains(out, "This binary cannot run on it: it is for those of version 90000 and later.") {
		t.Errorf("pando migrate --dry-run: %q", out)
	}
}

// TestMigrateSaysWhatItWouldDo looks at a database that lacks what came with this schema.
func TestMigrateSaysWhatItWouldDo(t *testing.T) {
	d := newDeployment(t, "")
	latest, err := migrations.Latest(migrations.SQLite)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("schema version %d, this binary %[1]d\nThere is nothing to apply.\n", latest)
	if code, out, errs := runPando(t, "migrate", "--dry-run", "--data", d.data); code != exitOK || !strings.HasSuffix(out, want) {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	d.executeSQLite(t, "DROP TABLE schema_compatibility; DELETE FROM schema_version WHERE version_id = 13")
	want = "To apply: [13]. Replicas of version 7 and later can go on meanwhile.\n"
	if code, out, errs := runPando(t, "migrate", "--dry-run", "--data", d.data); code != exitOK || !strings.HasSuffix(out, want) {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	if code, errs := d.refusedServe(t); code != exitFailed || !strings.Contains(errs, "run pando migrate") {
		t.Errorf("serve: exit code %d: %s", code, errs)
	}
	if code, _, errs := runPando(t, "migrate", "--data", d.data); code != exitOK {
		t.Errorf("exit code %d: %s", code, errs)
	}
}
