package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pando-ca/pando/ca/catest"
)

func TestScheduleRunEndsAsTheJobDid(t *testing.T) {
	t.Setenv("PANDO_CONTEXT_FILE", filepath.Join(t.TempDir(), "contexts.yaml"))
	pki := catest.New(t, catest.Options{})
	const times = `"name":"prune","schedule":"@every 1h","next_run":"2030-01-01T00:00:00Z","last_duration":"0.25s"`
	const problem = `{"detail":"the job is running already","code":"conflict","request_id":"r1"}`
	for name, tc := range map[string]struct {
		status       int
		media, body  string
		code         int
		shown, error string
	}{
		"a run that succeeded": {200, "application/json", `{` + times + `,"succeeded":1}`, exitOK, "Succeeded:      1\n", ""},
		"a run that failed": {200, "application/json", `{` + times + `,"failed":1,"last_error":"a\nb\u001b[2J"}`,
			exitFailed, `Last error:     a\nb\x1b[2J`, `pando: job prune failed: a\nb\x1b[2J` + "\n"},
		"one that runs already": {409, "application/problem+json", problem,
			exitFailed, "", "pando: the job is running already (code conflict, request r1)\n"},
	} {
		t.Run(name, func(t *testing.T) {
			server := newFakeServer(t, pki, serverID, func(w http.ResponseWriter, r *http.Request) {
				if got := r.Method + " " + r.URL.Path; got != "POST /v1/schedule/prune/run" {
					t.Errorf("asked for %s", got)
				}
				w.Header().Set("Content-Type", tc.media)
				w.WriteHeader(tc.status)
				fmt.Fprint(w, tc.body)
			})
			dir := t.TempDir()
			certificate, key := writePair(t, dir, "admin", pki.Issue(t, "spiffe://example.org/pando/admin/admin", catest.Leaf{}))
			code, out, errs := runPando(t, "schedule", "run", "prune", "--server", server.URL,
				"--bundle", writeFile(t, dir, "bundle.pem", rootsPEM(pki)), "--cert", certificate, "--key", key)
			if code != tc.code || errs != tc.error {
				t.Errorf("exit code %d and %q, want %d and %q", code, errs, tc.code, tc.error)
			}
			if !strings.Contains(out, tc.shown) || (tc.shown == "") != (out == "") {
				t.Errorf("printed %q, want %q", out, tc.shown)
			}
		})
	}
}

func TestJobDurationsAreForPeople(t *testing.T) {
	for wire, want := range map[string]string{
		"": "", "0.25s": "250ms", "0.000237092s": "237µs", "90.0004s": "1m30s", "1.2345678s": "1.235s", "soon": "soon",
	} {
		if got := (&jobJSON{LastDuration: wire}).durationText(); got != want {
			t.Errorf("%q is shown as %q, want %q", wire, got, want)
		}
	}
}
