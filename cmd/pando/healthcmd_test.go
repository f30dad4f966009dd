package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What servers answer.
const (
	wellReport = `{"status":"ready","checks":{"database":{"ok":true,"since":"2026-11-22T14:02:00Z"},` +
		`"issuer":{"ok":true,"since":"2026-11-22T14:02:00Z","note":"it covers no full certificate of: server"}}}`
	illReport = `{"status":"not ready","checks":{"database":{"ok":false,"since":"2026-11-22T14:02:00Z","error":"connection refused"},` +
		`"issuer":{"ok":true,"since":"2026-11-22T14:02:00Z"}}}`
)

func TestHealth(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
		code   int
		says   string
	}{
		"a server that is ready":     {http.StatusOK, wellReport, exitOK, "all       ready"},
		"a server that is not":       {http.StatusServiceUnavailable, illReport, exitUnavailable, "pando: not ready: database: connection refused"},
		"a check that has failed":    {http.StatusServiceUnavailable, illReport, exitUnavailable, "\ndatabase  failed  2026-11-22T14:02:00Z ("},
		"a note":                     {http.StatusOK, wellReport, exitOK, "it covers no full certificate of: server\n"},
		"a server that stops":        {http.StatusServiceUnavailable, `{"status":"draining"}`, exitUnavailable, "pando: draining\n"},
		"something that answers all": {http.StatusOK, "ok", exitFailed, "200 OK: ok"},
		"an agent":                   {http.StatusServiceUnavailable, `{"ready":false,"checks":{"web":"expired"}}`, exitUnavailable, "pando: not ready: web: expired"},
		"an agent that is well":      {http.StatusOK, `{"ready":true,"checks":{"web":"ok"},"warnings":{"web":"renews late"}}`, exitOK, "renews late"},
		"a report in a wrong status": {http.StatusOK, illReport, exitFailed, "connection refused"},
		"something else":             {http.StatusNotFound, "", exitFailed, "404"},
		"a redirect to who knows":    {http.StatusFound, "", exitFailed, "302"},
		"an answer for the terminal": {http.StatusServiceUnavailable, "\x1b[2J", exitUnavailable, "503"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/healthz/ready" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				w.WriteHeader(test.status)
				w.Write([]byte(test.body))
			}))
			defer server.Close()
			var out, errs bytes.Buffer
			code := run(t.Context(), []string{"health", "--address", server.URL + "/"}, stdio{out: &out, err: &errs})
			said := out.String() + errs.String()
			if code != test.code || !strings.Contains(said, test.says) || strings.Contains(said, "\x1b") {
				t.Errorf("exit code %d and %q, want %d and %q", code, said, test.code, test.says)
			}
		})
	}
	t.Run("an address without a scheme", func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(wellReport)) }))
		defer server.Close()
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{"health", "--address", server.Listener.Addr().String()}, stdio{out: &out, err: &errs}); code != exitOK {
			t.Errorf("exit code %d, want %d: %s", code, exitOK, errs.String())
		}
	})
	t.Run("no server", func(t *testing.T) {
		server := httptest.NewServer(nil)
		server.Close()
		var out, errs bytes.Buffer
		if code := run(t.Context(), []string{"health", "--address", server.URL}, stdio{out: &out, err: &errs}); code != exitUnavailable {
			t.Errorf("exit code %d, want %d: %s", code, exitUnavailable, errs.String())
		}
	})
}
