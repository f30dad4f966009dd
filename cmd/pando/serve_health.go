package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pando-ca/pando/ca/keystore"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/rpc"
)

const (
	// healthInterval is how old what is known can be, of what costs little to look at.
	healthInterval = time.Second
	// healthTimeout bounds one look at the database: one that takes longer is of no use.
	healthTimeout = 2 * time.Second
	// proveInterval is how often the key of the issuer signs for nothing: seldom against what a
	// token signs in a second, and soon enough to take a replica out of use.
	proveInterval = 10 * time.Second
	// proveTimeout is above the time after which an operation of a token is given up.
	proveTimeout = 12 * time.Second
	// followLimit is how long a replica may not have seen the number of the current generation, also
	// while the database is away: some twenty looks.
	followLimit = 30 * time.Second
)

// The words for how a replica is.
const (
	statusLive     = "live"
	statusReady    = "ready"
	statusNotReady = "not ready"
	statusDraining = "draining"
)

// health knows whether requests should be sent to this replica.
type health struct {
	service  *server.Service
	serving  *server.Serving
	keys     *keystore.Keys
	profiles []policy.Profile
	grpc     *rpc.Server // is told, for the health service of gRPC
	log      *slog.Logger
	checks   []*check // in the order of what depends on what

	draining atomic.Bool
	looked   atomic.Pointer[lastLook]
	told     string // the status that was told of last; Run owns it once it runs
}

// lastLook is the last look at the generations.
type lastLook struct {
	at  time.Time
	err error // why the current one cannot be used; nil: it is
}

// report is the answer of /healthz/ready.
type report struct {
	Status string             `json:"status"`
	Checks map[string]finding `json:"checks,omitempty"`
}

// ready reports whether requests should be sent here.
func (r *report) ready() bool { return r.Status == statusReady }

// newHealth returns what knows of a daemon whose parts are there, once every check has run.
func newHealth(ctx context.Context, d *daemon, grpc *rpc.Server) *health {
	h := &health{service: d.service, serving: d.serving, keys: d.vault.keys, profiles: d.profiles, grpc: grpc, log: d.log, told: statusNotReady}
	h.looked.Store(&lastLook{at: time.Now()})
	database := func(ctx context.Context, _ time.Time) error { return d.db.Ping(ctx) }
	h.checks = []*check{
		{name: "database", do: database, every: healthInterval, limit: healthTimeout},
		{name: "generation", do: h.generation, every: healthInterval, limit: healthTimeout},
		{name: "keys", do: h.token, every: healthInterval, limit: healthTimeout},
		{name: "signer", do: h.signer, every: proveInterval, limit: proveTimeout},
		{name: "issuer", do: h.issuer, every: healthInterval, limit: healthTimeout},
		{name: "serving_certificate", do: h.certificate, every: healthInterval, limit: healthTimeout},
	}
	var first sync.WaitGroup
	for _, c := range h.checks {
		first.Go(func() { c.run(ctx) })
	}
	first.Wait()
	h.tell(ctx, time.Now())
	return h
}

// Run keeps what is known current until ctx ends.
func (h *health) Run(ctx context.Context) error {
	var working sync.WaitGroup
	for _, c := range h.checks {
		working.Go(func() { c.follow(ctx) })
	}
	defer working.Wait()
	ticker := time.NewTicker(healthInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			h.tell(ctx, now)
		}
	}
}

// tell writes to the log what is new, and passes it on to gRPC.
func (h *health) tell(ctx context.Context, now time.Time) {
	r := h.report(now)
	if r.Status != h.told && r.Status != statusDraining {
		level, failed := slog.LevelInfo, []any(nil)
		for _, c := range h.checks {
			if f := r.Checks[c.name]; !f.OK {
				level, failed = slog.LevelWarn, append(failed, c.name, f.Error)
			}
		}
		h.log.Log(ctx, level, r.Status, failed...)
	}
	h.told = r.Status
	h.grpc.SetServing(r.ready())
	if h.draining.Load() {
		h.grpc.SetServing(false) // Drain may have come between
	}
}

// report is how this replica is at now.
func (h *health) report(now time.Time) *report {
	r := &report{Status: statusReady, Checks: make(map[string]finding, len(h.checks))}
	for _, c := range h.checks {
		f := c.finding(now)
		r.Checks[c.name] = f
		if !f.OK {
			r.Status = statusNotReady
		}
	}
	if h.draining.Load() {
		r.Status = statusDraining
	}
	return r
}

// Drain makes this replica not ready, at once and for good.
func (h *health) Drain() {
	h.draining.Store(true)
	h.grpc.SetServing(false)
}

// Generation is told whether the current generation is in use; see [server.FollowConfig]. A
// replica that cannot open it goes on with the one before, which is good for renewals for a
// while, but new requests had better go elsewhere.
func (h *health) Generation(err error) { h.looked.Store(&lastLook{at: time.Now(), err: err}) }

func (h *health) generation(_ context.Context, now time.Time) error {
	last := h.looked.Load()
	if last.err == nil && now.Sub(last.at) > followLimit {
		return fmt.Errorf("not looked for since %s", last.at.UTC().Format(time.RFC3339))
	}
	return last.err
}

// token reports a token that cannot be used.
func (h *health) token(context.Context, time.Time) error { return h.keys.Check() }

// signer signs.
func (h *health) signer(context.Context, time.Time) error { return h.service.Set().Issuer().Prove() }

// issuer reports an issuer that covers a full certificate of no profile. One that covers those of
// some is of use: it would help nobody if all replicas stopped to give out certificates of an hour
// because one of sixty days is too long.
func (h *health) issuer(_ context.Context, now time.Time) error {
	set := h.service.Set()
	var first error
	var short []string
	for _, p := range h.profiles {
		if err := set.Covers(p.Duration, now); err != nil {
			short = append(short, p.Name)
			if first == nil {
				first = err
			}
		}
	}
	if len(short) == 0 || len(short) == len(h.profiles) {
		return first
	}
	return caveat("it covers no full certificate of: " + strings.Join(short, ", "))
}

func (h *health) certificate(_ context.Context, now time.Time) error {
	if leaf := h.serving.Leaf(); now.After(leaf.NotAfter) {
		return fmt.Errorf("expired at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// live answers whether the process is worth keeping: it is while it answers at all.
func (h *health) live(w http.ResponseWriter, _ *http.Request) {
	writeReport(w, http.StatusOK, &report{Status: statusLive})
}

// ready answers whether requests should be sent here, and if not, why.
func (h *health) ready(w http.ResponseWriter, _ *http.Request) {
	r := h.report(time.Now())
	status := http.StatusOK
	if !r.ready() {
		status = http.StatusServiceUnavailable
	}
	writeReport(w, status, r)
}

func writeReport(w http.ResponseWriter, status int, r *report) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// A client that is gone needs no answer.
	_ = json.NewEncoder(w).Encode(r)
}
