package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/postgres"
	"github.com/pando-ca/pando/store/storetest"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// The lifetimes of the rotation under load: leaves of eight seconds, and a new root about every
// half minute. They are long against what a busy machine takes for a renewal.
func rotationEnv() []string {
	return []string{
		"PANDO_REFRESH_HINT=1s", "PANDO_LIFETIMES_ROOT=2m", "PANDO_LIFETIMES_INTERMEDIATE=45s",
		"PANDO_ROTATION_SCHEDULE=@every 1s", "PANDO_ROTATION_ROOT=20s", "PANDO_ROTATION_INTERMEDIATE=12s",
		"PANDO_ROTATION_SKEW=1s", "PANDO_ROTATION_LEASE=4s", "PANDO_LIMITS_ADDRESS_RATE=0",
		`PANDO_PROFILES=[{name: workload, duration: 8s, max_duration: 8s}, {name: server, duration: 8s, max_duration: 8s}, {name: administrator, duration: 8s, max_duration: 8s}]`,
	}
}

// TestRotationUnderLoad replaces the root, several times, under workloads that talk mutual TLS
// without a pause through two replicas on Postgres, one of which is killed while a root is
// prepared: not one handshake fails. `make e2e` runs it longer, with more workloads.
func TestRotationUnderLoad(t *testing.T) {
	rotations, pairs := envNumber(t, "PANDO_E2E_ROTATIONS", 2), envNumber(t, "PANDO_E2E_PAIRS", 6)
	for _, setting := range rotationEnv() {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value) // for init too: its certificates would hold the first root up
	}
	url := pgtest.New(t)
	first := newDeployment(t, url)
	second := first.replica(t)
	tokens := newTokens(t, url, 2*pairs)
	one, two := first.serve(t), second.serve(t)
	load := startLoad(t, []string{"https://" + first.addr.REST, "https://" + second.addr.REST}, first.data, tokens)

	// A root is prepared with the second sequence. Whoever leads is killed then, and comes back.
	load.awaitSequence(t, 2)
	killed := first
	if leads(two) {
		killed, one = second, two
	}
	one.end(t, syscall.SIGKILL)
	t.Logf("%6.1fs  the leader is killed while a root is prepared", load.elapsed())
	killed.serve(t)

	load.awaitSequence(t, uint64(1+2*rotations)) // each rotation publishes a root and withdraws one
	load.stop(t)
	t.Logf("%d root rotations, %d workloads: %d requests, %d handshakes, %d failed", rotations, 2*pairs,
		load.requests.Load(), load.handshakes.Load(), load.failed.Load())
	if load.failed.Load() > 0 || load.requests.Load() == 0 {
		t.Errorf("%d of %d requests failed", load.failed.Load(), load.requests.Load())
	}
	load.checkRecords(t, url)
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

// leads tells by its log whether a replica has carried out a step.
func leads(p *process) bool { return strings.Contains(p.log.String(), "rotation step done") }

// newTokens makes an entry and a join token for each workload, past the API: an administrator's
// certificate would live for seconds only.
func newTokens(t *testing.T, url string, n int) []string {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tokens := make([]string, n)
	for i := range tokens {
		entry := store.Entry{
			ID: fmt.Sprintf("ent_%d", i), SPIFFEID: fmt.Sprintf("spiffe://example.org/w/%d", i), Profile: "workload",
			Method: "join_token", CreatedAt: time.Now(), CreatedBy: "test",
		}
		secret := sha256.Sum256([]byte(entry.ID))
		tokens[i] = server.JoinTokenPrefix + base64.RawURLEncoding.EncodeToString(secret[:])
		token := store.Token{
			ID: fmt.Sprintf("tok_%d", i), Hash: sha256.Sum256([]byte(tokens[i])), EntryID: entry.ID,
			CreatedAt: time.Now(), CreatedBy: "test", ExpiresAt: time.Now().Add(time.Hour),
		}
		err := errors.Join(
			db.CreateEntry(t.Context(), entry, storetest.NewAudit("entry.create", entry.ID)),
			db.CreateToken(t.Context(), token, storetest.NewAudit("join_token.create", token.ID)))
		if err != nil {
			t.Fatal(err)
		}
	}
	return tokens
}

// mtlsLoad is pairs of workloads: of each, one asks the other without a pause.
type mtlsLoad struct {
	start   time.Time
	sources []*client.Source
	servers []*http.Server
	end     context.CancelFunc
	asking  sync.WaitGroup
	serving sync.WaitGroup

	requests, handshakes, failed atomic.Int64

	mu      sync.Mutex
	held    []string // serial numbers
	reasons []string
}

func startLoad(t *testing.T, servers []string, data string, tokens []string) *mtlsLoad {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &mtlsLoad{start: time.Now(), end: cancel}
	t.Cleanup(func() { l.stop(t) })
	for i, token := range tokens {
		if i%2 == 1 {
			servers = []string{servers[1], servers[0]}
		}
		source, err := client.Open(ctx, client.Config{Servers: servers, TrustBundleFile: filepath.Join(data, caBundleName), JoinToken: token})
		if err != nil {
			t.Fatal(err)
		}
		l.sources = append(l.sources, source)
		l.asking.Go(func() { l.watch(ctx, source) })
	}
	for i := 0; i < len(l.sources); i += 2 {
		l.pair(ctx, t, l.sources[i], l.sources[i+1])
	}
	return l
}

// watch notes each certificate that a workload holds.
func (l *mtlsLoad) watch(ctx context.Context, s *client.Source) {
	for status := range s.Updates(ctx) {
		l.mu.Lock()
		l.held = append(l.held, status.Serial)
		l.mu.Unlock()
	}
}

// pair has one workload ask the other, with a handshake for every second request.
func (l *mtlsLoad) pair(ctx context.Context, t *testing.T, asks, answers *client.Source) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	answering := &http.Server{
		Handler:   http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		TLSConfig: answers.ServerTLS(client.AuthorizeID(asks.ID())),
		ErrorLog:  log.New(loadFailures{l}, "", 0),
	}
	l.servers = append(l.servers, answering)
	l.serving.Go(func() { _ = answering.ServeTLS(listener, "", "") })
	for _, kept := range []bool{true, false} {
		transport := &http.Transport{TLSClientConfig: asks.ClientTLS(client.AuthorizeID(answers.ID())), DisableKeepAlives: !kept}
		l.asking.Go(func() {
			defer transport.CloseIdleConnections()
			c := &http.Client{Transport: transport, Timeout: 20 * time.Second}
			for ctx.Err() == nil {
				resp, err := c.Get("https://" + listener.Addr().String())
				if err != nil {
					l.fail(err.Error())
					continue
				}
				_ = resp.Body.Close()
				l.requests.Add(1)
				if !kept {
					l.handshakes.Add(1)
				}
				select { // some hundred requests a second leave the machine usable
				case <-ctx.Done():
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
}

// loadFailures counts what servers could not serve: failed handshakes above all.
type loadFailures struct{ load *mtlsLoad }

func (f loadFailures) Write(line []byte) (int, error) {
	f.load.fail(string(line))
	return len(line), nil
}

func (l *mtlsLoad) fail(why string) {
	l.failed.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.reasons) < 10 {
		l.reasons = append(l.reasons, fmt.Sprintf("%.1fs: %s", l.elapsed(), why))
	}
}

func (l *mtlsLoad) elapsed() float64 { return time.Since(l.start).Seconds() }

// awaitSequence returns once every workload has a bundle with this sequence or a later one.
func (l *mtlsLoad) awaitSequence(t *testing.T, sequence uint64) {
	t.Helper()
	const limit = 10 * time.Minute // a rotation takes half a minute on a machine that is idle
	deadline := time.Now().Add(limit)
	seen := uint64(0)
	for {
		least := l.sources[0].Status().BundleSequence
		for _, s := range l.sources[1:] {
			least = min(least, s.Status().BundleSequence)
		}
		if least != seen {
			t.Logf("%6.1fs  every workload has bundle %d", l.elapsed(), least)
			seen = least
		}
		switch {
		case least >= sequence:
			return
		case l.failed.Load() > 0:
			t.Fatalf("%.1fs: requests failed: %q", l.elapsed(), l.reasons)
		case time.Now().After(deadline):
			t.Fatalf("after %s the workloads have bundle %d and not %d", limit, least, sequence)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// stop ends the workloads, those who ask first.
func (l *mtlsLoad) stop(t *testing.T) {
	t.Helper()
	l.end()
	l.asking.Wait()
	for _, s := range l.servers {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	l.serving.Wait()
	l.servers = nil
	for _, s := range l.sources {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// checkRecords looks every certificate up that a workload has held.
func (l *mtlsLoad) checkRecords(t *testing.T, url string) {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, serial := range l.held {
		if _, err := db.Record(t.Context(), storeSerial(t, serial)); err != nil {
			t.Errorf("certificate %s: %v", serial, err)
		}
	}
	t.Logf("%d certificates were held, and all are in the store", len(l.held))
}

func storeSerial(t *testing.T, text string) store.Serial {
	t.Helper()
	serial, err := ca.ParseSerial(text)
	if err != nil {
		t.Fatal(err)
	}
	return store.Serial(serial)
}
