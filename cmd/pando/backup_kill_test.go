package main

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/storetest"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// killRows is enough for a backup and a restore to take some tenths of a second.
const killRows = 10_000

// TestBackupSurvivesKills kills what makes a backup, and then what restores it, at moments that nobody
// chose: a file of this name is whole or not there, and a database is empty or whole.
func TestBackupSurvivesKills(t *testing.T) {
	for name, database := range map[string]func(*testing.T) string{
		"on SQLite":   func(*testing.T) string { return "" },
		"on Postgres": func(t *testing.T) string { return pgtest.New(t) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDeployment(t, database(t))
			d.fill(t, killRows)
			recipient, identity := newBackupKey(t)
			file, took := d.killedCreates(t, recipient, identity)

			next := &deployment{data: d.newHome(t)}
			if url := database(t); url != "" {
				next.env = []string{"PANDO_DATABASE=" + url}
			}
			kills := next.killedRestores(t, file, identity, took)
			cfg, err := configSource{data: next.data, env: next.env}.load()
			if err != nil {
				t.Fatal(err)
			}
			db, err := openDatabase(t.Context(), &cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			counts, err := db.LiveCounts(t.Context(), storetest.Now())
			if err != nil || len(counts) == 0 || counts[0].Certificates < killRows {
				t.Errorf("restored: %+v, %v, want %d certificates", counts, err, killRows)
			}
			if _, err := db.Generation(t.Context()); err != nil {
				t.Error(err)
			}
			t.Logf("%d restores were killed before one was whole", kills)
		})
	}
}

// fill records certificates. No server is running.
func (d *deployment) fill(t *testing.T, n int) {
	t.Helper()
	cfg, err := configSource{data: d.data}.load()
	if err != nil {
		t.Fatal(err)
	}
	db, err := openDatabase(t.Context(), &cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	gen, err := db.Generation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n > 0 {
		var batch []*store.Issuance
		for ; n > 0 && len(batch) < 1000; n-- {
			i := storetest.NewIssuance(loadID, storetest.Now())
			i.Issuer = gen.Authorities[1].ID
			batch = append(batch, i)
		}
		errs, err := db.InsertBatch(t.Context(), batch, time.Now())
		if err := errors.Join(append(errs, err)...); err != nil {
			t.Fatal(err)
		}
	}
}

// kills is how many processes are killed, if none comes through before.
const kills = 6

// killWithin kills a process at a moment that nobody chose, and reports whether it had succeeded before.
func (p *process) killWithin(limit time.Duration) (succeeded bool) {
	select {
	case <-p.done:
	case <-time.After(rand.N(limit)):
	}
	_ = p.cmd.Process.Kill() // if it has not ended
	<-p.done
	return p.cmd.ProcessState.Success()
}

// killedCreates makes a backup, kills others that would replace it, and returns it with the time that it
// took.
func (d *deployment) killedCreates(t *testing.T, recipient, identity string) (file string, took time.Duration) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "backup")
	create := []string{"backup", "create", "--data", d.data, "--recipient", recipient, "--out", file}
	began := time.Now()
	if out, err := d.pando(create...).CombinedOutput(); err != nil {
		t.Fatalf("create: %v: %s", err, out)
	}
	took = time.Since(began)
	if out, err := d.pando(create...).CombinedOutput(); err == nil || !strings.Contains(string(out), "is there already") {
		t.Errorf("a second one: %v: %s, want a refusal", err, out)
	}
	for range kills {
		startProcess(t, "backup create", d.pando(append(create, "--force")...)).killWithin(took)
		verify := d.pando("backup", "verify", file, "--identity", identity, "--seal-key-file", filepath.Join(d.data, "seal.key"))
		if out, err := verify.CombinedOutput(); err != nil {
			t.Fatalf("after a kill there is no whole backup: %v: %s", err, out)
		}
	}
	return file, took
}

// killedRestores kills restores until one is whole, and returns how many it has killed.
func (d *deployment) killedRestores(t *testing.T, file, identity string, took time.Duration) int {
	t.Helper()
	restore := []string{"backup", "restore", file, "--data", d.data, "--identity", identity}
	for killed := range kills {
		p := startProcess(t, "backup restore", d.pando(restore...))
		if p.killWithin(2*took) || strings.Contains(p.log.String(), "is not empty") {
			return killed // it, or the one before, was killed after its commit
		}
		if text := p.log.String(); text != "" {
			t.Fatalf("a restore after a kill: %s", text)
		}
	}
	if out, err := d.pando(restore...).CombinedOutput(); err != nil && !strings.Contains(string(out), "is not empty") {
		t.Fatalf("restore: %v: %s", err, out)
	}
	return kills
}
