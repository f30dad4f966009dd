package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pando-ca/pando/internal/pgserver"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/postgres"
	"github.com/pando-ca/pando/store/storetest"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// rotationLease is after how long without a sign of life another replica leads.
const rotationLease = 4 * time.Second

// The lifetimes of the rotation under load: leaves of eight seconds, and a new root about every
// half minute. They are long against what a busy machine takes for a renewal.
func rotationEnv() []string {
	return []string{
		"PANDO_REFRESH_HINT=1s", "PANDO_LIFETIMES_ROOT=2m", "PANDO_LIFETIMES_INTERMEDIATE=45s",
		"PANDO_ROTATION_SCHEDULE=@every 1s", "PANDO_ROTATION_ROOT=20s", "PANDO_ROTATION_INTERMEDIATE=12s",
		"PANDO_ADMINISTRATORS=[{spiffe_id: " + e2eAdministrator + ", role: admin}]",
		"PANDO_ROTATION_SKEW=1s", "PANDO_ROTATION_LEASE=" + rotationLease.String(), "PANDO_LIMITS_ADDRESS_RATE=0",
		`PANDO_PROFILES=[{name: workload, duration: 8s, max_duration: 8s}, {name: server, duration: 8s, max_duration: 8s}, {name: administrator, duration: 8s, max_duration: 8s}]`,
	}
}

// TestRotationUnderLoad replaces the root, several times, under workloads that talk mutual TLS
// without a pause through two replicas on Postgres. One replica is killed while a root is
// prepared, the one that leads is stopped past its lease and woken up, the database crashes, a
// certificate is stolen and revoked, and the root is replaced in an emergency: not one handshake
// between healthy workloads fails. `make e2e` runs it longer, with more workloads.
func TestRotationUnderLoad(t *testing.T) {
	rotations, pairs := envNumber(t, "PANDO_E2E_ROTATIONS", 2), envNumber(t, "PANDO_E2E_PAIRS", 6)
	for _, setting := range rotationEnv() {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value) // for init too: its certificates would hold the first root up
	}
	database := pgtest.Start(t, pgserver.Config{})
	d := newRotating(t, database)
	d.load = startLoad(t, d.urls(), d.replicas[0].data, newTokens(t, d.url, 2*pairs))

	d.load.awaitSequence(t, 2) // the second root is prepared
	d.killLeader(t)
	d.load.awaitSequence(t, 4) // the third
	d.stopLeader(t)
	d.crashDatabase(t)
	admin := d.administrator(t)
	d.revokeWorkload(t, admin)
	d.replaceRoot(t, admin)
	d.load.awaitSequence(t, uint64(1+2*(rotations+1))) // each rotation publishes a root and withdraws one

	d.load.stop(t)
	t.Logf("%d root rotations by schedule and one in an emergency, %d workloads: %d requests, %d handshakes, %d failed", rotations, 2*pairs,
		d.load.requests.Load(), d.load.handshakes.Load(), d.load.failed.Load())
	if d.load.failed.Load() > 0 || d.load.requests.Load() == 0 {
		t.Errorf("%d requests failed: %q", d.load.failed.Load(), d.load.reasons)
	}
	d.checkStore(t)
}

func envNumber(t *testing.T, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// rotating is two replicas on one Postgres, and workloads that they serve.
type rotating struct {
	database  *pgserver.Server
	url       string
	replicas  [2]*deployment
	processes [2]*process
	load      *mtlsLoad
}

func newRotating(t *testing.T, database *pgserver.Server) *rotating {
	t.Helper()
	d := &rotating{database: database, url: database.URL("postgres")}
	d.replicas[0] = newDeployment(t, d.url)
	d.replicas[1] = d.replicas[0].replica(t)
	for i, replica := range d.replicas {
		d.processes[i] = replica.serve(t)
	}
	return d
}

// replica is another process on the same database.
func (d *deployment) replica(t *testing.T) *deployment {
	t.Helper()
	free := freeAddresses(t, 4)
	r := &deployment{data: d.data, addr: listenConfig{REST: free[0], GRPC: free[1], Public: free[2], Metrics: free[3]}}
	r.env = []string{
		"PANDO_LISTEN_REST=" + r.addr.REST, "PANDO_LISTEN_GRPC=" + r.addr.GRPC,
		"PANDO_LISTEN_PUBLIC=" + r.addr.Public, "PANDO_LISTEN_METRICS=" + r.addr.Metrics, "PANDO_LIMITS_IDENTITY_RATE=0",
	}
	return r
}

func (d *rotating) urls() []string {
	return []string{"https://" + d.replicas[0].addr.REST, "https://" + d.replicas[1].addr.REST}
}

func (d *rotating) note(t *testing.T, what string) {
	t.Helper()
	t.Logf("%6.1fs  %s", d.load.elapsed(time.Now()), what)
}

// leader is the replica that leads the rotation now.
func (d *rotating) leader(t *testing.T) int {
	t.Helper()
	deadline := time.Now().Add(startLimit)
	for time.Now().Before(deadline) {
		for i, replica := range d.replicas {
			if replica.leads() {
				return i
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("no replica leads")
	return 0
}

// leads tells by its metrics whether a replica leads.
func (d *deployment) leads() bool {
	resp, err := http.Get("http://" + d.addr.Metrics + "/metrics")
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return err == nil && strings.Contains(string(text), "\npando_scheduler_leader 1\n")
}

// killLeader ends the replica that leads as a crash does, and starts it again.
func (d *rotating) killLeader(t *testing.T) {
	t.Helper()
	i := d.leader(t)
	d.processes[i].end(t, syscall.SIGKILL)
	d.note(t, "the leader is killed, and started again")
	d.processes[i] = d.replicas[i].serve(t)
}

// stopLeader stops the replica that leads for longer than its lease, and lets it go on as if
// nothing had happened. checkStore finds out whether anything was done twice.
func (d *rotating) stopLeader(t *testing.T) {
	t.Helper()
	i := d.leader(t)
	d.signal(t, i, syscall.SIGSTOP)
	d.note(t, "the leader is stopped")
	time.Sleep(2 * rotationLease) // it is the lease of a real database that runs out
	if !d.replicas[1-i].leads() {
		t.Error("the other replica does not lead after the lease has run out")
	}
	d.signal(t, i, syscall.SIGCONT)
	d.note(t, "the leader of before goes on; the other one leads")
}

func (d *rotating) signal(t *testing.T, replica int, signal syscall.Signal) {
	t.Helper()
	if err := d.processes[replica].cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// crashDatabase ends Postgres without a word, and starts it again.
func (d *rotating) crashDatabase(t *testing.T) {
	t.Helper()
	if err := d.database.Kill(); err != nil {
		t.Fatal(err)
	}
	d.note(t, "the database is killed")
	if err := d.database.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.note(t, "the database is back")
	for i, replica := range d.replicas {
		replica.awaitReady(t, d.processes[i])
	}
	d.note(t, "both replicas are ready")
}

// newTokens makes an entry and a join token for each workload, past the API: an administrator's
// certificate would live for seconds only.
func newTokens(t *testing.T, url string, n int) []string {
	t.Helper()
	db := openPostgres(t, url)
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i] = newToken(t, db, store.Entry{
			ID: fmt.Sprintf("ent_%d", i), SPIFFEID: fmt.Sprintf("spiffe://example.org/w/%d", i), Profile: "workload",
		})
	}
	return tokens
}

// tokenStore is where entries and tokens are.
type tokenStore interface {
	CreateEntry(context.Context, store.Entry, store.Audit) error
	CreateToken(context.Context, store.Token, store.Audit) error
}

// newToken makes an entry, and a join token for it.
func newToken(t *testing.T, db tokenStore, entry store.Entry) string {
	t.Helper()
	entry.Method, entry.CreatedAt, entry.CreatedBy = "join_token", time.Now(), "test"
	secret := sha256.Sum256([]byte(entry.ID))
	text := server.JoinTokenPrefix + base64.RawURLEncoding.EncodeToString(secret[:])
	token := store.Token{
		ID: "tok_" + entry.ID, Hash: sha256.Sum256([]byte(text)), EntryID: entry.ID,
		CreatedAt: time.Now(), CreatedBy: "test", ExpiresAt: time.Now().Add(time.Hour),
	}
	err := errors.Join(
		db.CreateEntry(t.Context(), entry, storetest.NewAudit("entry.create", entry.ID)),
		db.CreateToken(t.Context(), token, storetest.NewAudit("join_token.create", token.ID)))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func openPostgres(t *testing.T, url string) *postgres.Store {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}
