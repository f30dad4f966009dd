package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pando-ca/pando/internal/pgserver"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// load lets clients sign in a loop until stop is called, and keeps what they were given.
func (d *deployment) load(t *testing.T, clients int) (h *held, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	h = newHeld()
	var running sync.WaitGroup
	for i := range clients {
		client := d.client(t, i%4 != 0) // every fourth over HTTP/1.1
		running.Go(func() {
			for ctx.Err() == nil {
				serial, err := client.sign(ctx)
				if err == nil {
					h.add(serial)
					continue
				}
				select { // the server is down
				case <-ctx.Done():
				case <-time.After(2 * time.Millisecond):
				}
			}
		})
	}
	stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(stop)
	return h, stop
}

// A client that holds a certificate can rely on its record, whatever happened to the server
// in the moment of issue.
func TestCertificatesSurviveKills(t *testing.T) {
	for name, database := range map[string]func(*testing.T) string{
		"on SQLite":   func(*testing.T) string { return "" },
		"on Postgres": func(t *testing.T) string { return pgtest.New(t) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDeployment(t, database(t))
			h, stop := d.load(t, 8)
			const kills = 10
			for range kills {
				before := h.count()
				p := d.serve(t)
				h.await(t, p, before+1)                      // each life of the server issues something
				<-time.After(rand.N(100 * time.Millisecond)) // a moment that nobody chose
				p.end(t, syscall.SIGKILL)
			}
			stop()
			recorded := d.recorded(t)
			if missing := h.missing(recorded); len(missing) > 0 {
				t.Errorf("%d of %d certificates have no record: %v", len(missing), h.count(), missing)
			}
			t.Logf("%d certificates held and %d recorded over %d kills", h.count(), len(recorded), kills)
		})
	}
}

// While the database is away the server says so and loses nothing; when it is back, so is the
// server, without a restart.
func TestDatabaseOutage(t *testing.T) {
	postgres := pgtest.Start(t, pgserver.Config{})
	d := newDeployment(t, postgres.URL("postgres"))
	p := d.serve(t)
	h, stop := d.load(t, 4)
	client := d.client(t, true)
	h.await(t, p, 20)

	if err := postgres.Kill(); err != nil {
		t.Fatal(err)
	}
	_, err := client.sign(t.Context())
	var refused *refusal
	if !errors.As(err, &refused) || refused.status != http.StatusServiceUnavailable || refused.code != "unavailable" || refused.retryAfter == "" {
		t.Errorf("without a database: %v, want 503, unavailable and Retry-After", err)
	}
	if code := signOverGRPC(t, d); code != "Unavailable" {
		t.Errorf("without a database, over gRPC: %s, want Unavailable", code)
	}
	awaitStatus(t, d, p, http.StatusServiceUnavailable)
	if _, r := d.ready(); r.Checks["database"].OK || !r.Checks["issuer"].OK || !r.Checks["generation"].OK {
		t.Errorf("readiness names %v, want the database alone", r.Checks)
	}

	if err := postgres.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	awaitStatus(t, d, p, http.StatusOK)
	serial, err := client.sign(t.Context())
	if err != nil {
		t.Fatalf("with the database back: %v", err)
	}
	h.add(serial)
	stop()
	if code := p.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if missing := h.missing(d.recorded(t)); len(missing) > 0 {
		t.Errorf("%d of %d certificates have no record", len(missing), h.count())
	}
}

// awaitStatus waits until readiness has a status.
func awaitStatus(t *testing.T, d *deployment, p *process, want int) {
	t.Helper()
	deadline := time.After(startLimit)
	for {
		if status, _ := d.ready(); status == want {
			return
		}
		select {
		case <-p.done:
			t.Fatal("the server ended")
		case <-deadline:
			t.Fatalf("readiness does not become %d", want)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// A database that is started together with Pando may need a while.
func TestServeWaitsForItsDatabase(t *testing.T) {
	postgres := pgtest.Start(t, pgserver.Config{})
	d := newDeployment(t, postgres.URL("postgres"))
	if err := postgres.Kill(); err != nil {
		t.Fatal(err)
	}
	p := d.start(t)
	deadline := time.After(startLimit)
	for p.logLine("waiting for the database") == nil {
		select {
		case <-p.done:
			t.Fatal("the server ended")
		case <-deadline:
			t.Fatal("the server does not say that it waits")
		case <-time.After(5 * time.Millisecond):
		}
	}
	if err := postgres.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.awaitReady(t, p)
	if _, err := d.client(t, true).sign(t.Context()); err != nil {
		t.Error(err)
	}
}
