package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/pando-ca/pando/ca/keystore"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/server/rpc"
	"github.com/pando-ca/pando/store"
)

const (
	// healthInterval is how old an answer about readiness can be. The checks run on a clock of
	// their own, so that probes, however many, cost the database nothing.
	healthInterval = time.Second
	// healthTimeout bounds one look at the database: one that takes longer is of no use.
	healthTimeout = 2 * time.Second
)

// health knows whether requests should be sent to this replica.
type health struct {
	database store.Health
	service  *server.Service
	serving  *server.Serving
	keys     *keystore.Keys
	grpc     *rpc.Server // is told, for the health service of gRPC
	log      *slog.Logger

	draining   atomic.Bool
	generation atomic.Pointer[string] // why the current generation cannot be used; nil: it is
	// Swapped as a whole, by check.
	current atomic.Pointer[report]
}

// report is the answer of /healthz/ready: each check with "ok" or what is wrong.
type report struct {
	Ready  bool              `json:"ready"`
	Checks map[string]string `json:"checks"`
}

func newHealth(d *daemon, grpc *rpc.Server) *health {
	h := &health{database: d.db, service: d.service, serving: d.serving, keys: d.vault.keys, grpc: grpc, log: d.log}
	h.current.Store(&report{Checks: map[string]string{}})
	return h
}

// Run keeps the report current until ctx ends.
func (h *health) Run(ctx context.Context) error {
	ticker := time.NewTicker(healthInterval)
	defer ticker.Stop()
	for {
		h.check(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Drain makes this replica not ready, at once and for good.
func (h *health) Drain() {
	h.draining.Store(true)
	h.grpc.SetServing(false)
}

// Generation is told whether the current generation is in use; see [server.FollowConfig]. A
// replica that cannot open it goes on with the one before, which is good for renewals for a
// while, but new requests had better go elsewhere.
func (h *health) Generation(err error) {
	if err == nil {
		h.generation.Store(nil)
		return
	}
	text := err.Error()
	h.generation.Store(&text)
}

func (h *health) followed() error {
	if text := h.generation.Load(); text != nil {
		return errors.New(*text)
	}
	return nil
}

// check runs every check.
func (h *health) check(ctx context.Context) {
	now := time.Now()
	r := &report{Ready: true, Checks: make(map[string]string)}
	for name, err := range map[string]error{
		"database":            h.ping(ctx),
		"generation":          h.followed(),
		"issuer":              h.issuer(now),
		"keys":                h.keys.Check(),
		"serving_certificate": h.certificate(now),
	} {
		r.Checks[name] = "ok"
		if err != nil {
			r.Ready, r.Checks[name] = false, err.Error()
		}
	}
	if ctx.Err() != nil {
		return // what failed then says nothing
	}
	before := h.current.Swap(r)
	switch {
	case r.Ready && !before.Ready:
		h.log.InfoContext(ctx, "ready", "checks", r.Checks)
	case !r.Ready && before.Ready:
		h.log.WarnContext(ctx, "not ready", "checks", r.Checks)
	}
	h.grpc.SetServing(r.Ready)
	if h.draining.Load() {
		h.grpc.SetServing(false) // Drain may have come between
	}
}

func (h *health) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	return h.database.Ping(ctx)
}

// issuer reports an issuer that has ended, or has not begun by the clock of this machine.
func (h *health) issuer(now time.Time) error {
	return h.service.Set().Covers(time.Second, now)
}

func (h *health) certificate(now time.Time) error {
	if leaf := h.serving.Leaf(); now.After(leaf.NotAfter) {
		return fmt.Errorf("expired at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// live answers whether the process is worth keeping: it is while it answers at all.
func (h *health) live(w http.ResponseWriter, _ *http.Request) {
	writeReport(w, http.StatusOK, &report{Ready: true, Checks: map[string]string{}})
}

// ready answers whether requests should be sent here, and if not, why.
func (h *health) ready(w http.ResponseWriter, _ *http.Request) {
	r := *h.current.Load()
	if h.draining.Load() {
		r = report{Checks: map[string]string{"draining": "told to stop"}}
	}
	status := http.StatusOK
	if !r.Ready {
		status = http.StatusServiceUnavailable
	}
	writeReport(w, status, &r)
}

func writeReport(w http.ResponseWriter, status int, r *report) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// A client that is gone needs no answer.
	_ = json.NewEncoder(w).Encode(r)
}
