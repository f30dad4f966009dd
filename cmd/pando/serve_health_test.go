package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/internal/pgserver"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// TestAFindingFollowsItsCause: no check stays failed after its cause is gone, and a run that hangs
// is told of without anybody waiting for it.
func TestAFindingFollowsItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		answer := make(chan error)
		runs := 0
		c := &check{name: "database", every: time.Second, limit: 2 * time.Second, do: func(context.Context, time.Time) error {
			runs++
			return <-answer // also when ctx has ended: such are drivers
		}}
		want := func(what string, want finding) {
			t.Helper()
			synctest.Wait()
			if got := c.finding(time.Now()); got != want {
				t.Errorf("%s: %+v, want %+v", what, got, want)
			}
		}
		want("before the first run", finding{Since: time.Now().UTC(), Error: "not checked yet"})
		ended := make(chan struct{})
		go func() { c.follow(ctx); close(ended) }()

		time.Sleep(time.Second)
		began := time.Now().UTC()
		answer <- nil
		want("it is well", finding{OK: true, Since: began})
		time.Sleep(time.Second)
		answer <- nil
		want("it is still well", finding{OK: true, Since: began})
		time.Sleep(time.Second)
		failed := time.Now().UTC()
		answer <- errors.New("gone\n\x1b[2J" + strings.Repeat("x", 2*maxFinding))
		want("it has failed", finding{Since: failed, Error: short("gone \x1b[2J" + strings.Repeat("x", 2*maxFinding))})
		time.Sleep(time.Second)
		again := time.Now().UTC()
		answer <- caveat("slow")
		want("it is well again", finding{OK: true, Since: again, Note: "slow"})

		time.Sleep(time.Second)
		hangs := time.Now().UTC()
		want("it hangs for a moment", finding{OK: true, Since: again, Note: "slow"})
		time.Sleep(time.Minute)
		want("it hangs", finding{Since: hangs.Add(c.limit), Error: "no answer since " + hangs.Format(time.RFC3339)})
		if runs != 5 {
			t.Errorf("%d runs, want one at a time", runs)
		}
		answer <- nil
		want("it has come to itself", finding{OK: true, Since: time.Now().UTC()})
		stop()
		close(answer)
		<-ended
	})
}

func TestAFindingIsBounded(t *testing.T) {
	c := &check{}
	c.note(errors.New("two\nlines \x1b[2J"+strings.Repeat("é", 1000)), time.Now())
	if f := c.finding(time.Now()); len(f.Error) > maxFinding+3 || strings.ContainsAny(f.Error, "\n\x1b") {
		t.Errorf("%d octets: %q", len(f.Error), f.Error)
	}
}

// TestIssuerThatCoversLess: an issuer that is of use to some is not the end of all.
func TestIssuerThatCoversLess(t *testing.T) {
	d := newDeployment(t, "").daemon(t)
	t.Cleanup(func() { _ = d.close() })
	h := d.health
	ends := h.service.Set().Issuer().Certificate().NotAfter
	h.profiles = []policy.Profile{{Name: "workload", Duration: time.Hour}, {Name: "server", Duration: 60 * 24 * time.Hour}}
	for name, test := range map[string]struct {
		now  time.Time
		note string
		err  string
	}{
		"it covers all":          {now: time.Now()},
		"it covers the shortest": {now: ends.Add(-time.Hour), note: "it covers no full certificate of: server"},
		"it covers none":         {now: ends.Add(-time.Hour + time.Second), err: "cannot cover a leaf of 1h0m0s"},
		"it has ended":           {now: ends.Add(time.Second), err: "cannot cover"},
		"it has not begun":       {now: time.Unix(0, 0), err: "is not valid before"},
	} {
		err := h.issuer(t.Context(), test.now)
		var note caveat
		switch {
		case test.note != "" && (!errors.As(err, &note) || string(note) != test.note):
			t.Errorf("%s: %v, want the note %q", name, err, test.note)
		case test.err != "" && (err == nil || errors.As(err, &note) || !strings.Contains(err.Error(), test.err)):
			t.Errorf("%s: %v, want %q", name, err, test.err)
		case test.note == "" && test.err == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReadiness: each check by name, and the word of all of them; the gRPC health service is told
// the same.
func TestReadiness(t *testing.T) {
	d := newDeployment(t, "").daemon(t)
	t.Cleanup(func() { _ = d.close() })
	h := d.health
	var log strings.Builder
	h.log = slog.New(slog.NewTextHandler(&log, nil))
	ask := func() (int, report) {
		t.Helper()
		answer := httptest.NewRecorder()
		h.ready(answer, httptest.NewRequest(http.MethodGet, "/healthz/ready", nil))
		var r report
		if err := json.Unmarshal(answer.Body.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		return answer.Code, r
	}
	status, r := ask()
	if status != http.StatusOK || r.Status != statusReady || len(r.Checks) != 6 {
		t.Errorf("%d %+v, want a replica that is ready", status, r)
	}
	h.Generation(errors.New("generation 7 cannot be used: no key"))
	h.checks[1].run(t.Context())
	status, r = ask()
	if f := r.Checks["generation"]; status != http.StatusServiceUnavailable || r.Status != statusNotReady || f.OK || f.Error != "generation 7 cannot be used: no key" {
		t.Errorf("%d %+v, want the generation to be named", status, r)
	}
	h.tell(t.Context(), time.Now())
	h.Generation(nil)
	h.checks[1].run(t.Context())
	h.tell(t.Context(), time.Now())
	if status, r = ask(); status != http.StatusOK {
		t.Errorf("%d %+v, want a replica that is ready again", status, r)
	}
	if text := log.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, `level=WARN msg="not ready" generation="generation 7`) || !strings.Contains(text, "level=INFO msg=ready\n") {
		t.Errorf("the log says %s", text)
	}
	if err := h.generation(t.Context(), time.Now().Add(followLimit+time.Second)); err == nil || !strings.Contains(err.Error(), "not looked for since") {
		t.Errorf("a generation that nobody looks for: %v", err)
	}
	h.Drain()
	if status, r = ask(); status != http.StatusServiceUnavailable || r.Status != statusDraining || !r.Checks["database"].OK {
		t.Errorf("%d %+v, want a replica that drains", status, r)
	}
}

// TestADatabaseThatHangsHoldsNobodyUp: the processes of the database are stopped, not killed, so
// that connections stay and nobody answers.
func TestADatabaseThatHangsHoldsNobodyUp(t *testing.T) {
	postgres := pgtest.Start(t, pgserver.Config{})
	d := newDeployment(t, postgres.URL("postgres"))
	p := d.serve(t)
	release := stopSessions(t, postgres.URL("postgres"))
	awaitStatus(t, d, p, http.StatusServiceUnavailable)
	began := time.Now()
	_, r := d.ready()
	if took := time.Since(began); took > time.Second || r.Checks["database"].OK || !r.Checks["signer"].OK {
		t.Errorf("after %s: %+v, want the database alone, at once", took, r)
	}
	release()
	awaitStatus(t, d, p, http.StatusOK)
}

// TestASQLiteDatabaseThatIsHeld: somebody holds the lock for writing, and lets go of it.
func TestASQLiteDatabaseThatIsHeld(t *testing.T) {
	d := newDeployment(t, "")
	p := d.serve(t)
	release := holdSQLite(t, filepath.Join(d.data, sqliteName))
	awaitStatus(t, d, p, http.StatusServiceUnavailable)
	if _, r := d.ready(); r.Checks["database"].OK {
		t.Errorf("%+v, want the database to be named", r)
	}
	release()
	awaitStatus(t, d, p, http.StatusOK)
}

// stopSessions stops a server and its sessions, until release is called.
func stopSessions(t *testing.T, url string) (release func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	rows, err := conn.Query(t.Context(), `SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)::int
		UNION ALL SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`)
	if err != nil {
		t.Fatal(err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		t.Fatal(err)
	}
	signal := func(signal syscall.Signal) {
		for _, pid := range pids {
			_ = syscall.Kill(pid, signal) // a session may have ended by itself
		}
	}
	signal(syscall.SIGSTOP)
	release = sync.OnceFunc(func() { signal(syscall.SIGCONT) })
	t.Cleanup(release)
	return release
}

// holdSQLite takes the lock for writing, until release is called.
func holdSQLite(t *testing.T, path string) (release func()) {
	t.Helper()
	db, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(t.Context(), "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	release = sync.OnceFunc(func() { _, _ = conn.Close(), db.Close() })
	t.Cleanup(release)
	return release
}
