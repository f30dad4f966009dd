package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealth(t *testing.T) {
	tests := map[string]struct {
		status int
		body   string
		code   int
		says   string
	}{
		"a server that is ready":     {http.StatusOK, "ok", exitOK, "ready"},
		"a server that is not":       {http.StatusServiceUnavailable, "database: connection refused\n", exitUnavailable, "database: connection refused"},
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
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
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
