package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/agent"
)

// maxHealthAnswer bounds what is repeated of an answer: a readiness report has a few texts of bounded length.
const maxHealthAnswer = 16 << 10

func newHealthCommand(io stdio) *cobra.Command {
	var address string
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a server or an agent of this machine whether it is ready",
		Long: `Ask a server whether it is ready to issue, or an agent whether its identities are good, show each of its checks, and exit with 0 if it is and
with 5 if it is not or cannot be reached. It is meant for the health checks of containers, whose
image has no other program, and for people.`,
		Example: "  pando health\n  pando health --address localhost:9464 -o json",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().StringVar(&address, "address", "http://127.0.0.1:9464", "URL of the metrics door, or host:port")
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "how long to wait for the answer")
	output := addOutput(cmd, formTable, formJSON, formYAML)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
		defer cancel()
		r, err := askHealth(ctx, address)
		if err != nil {
			return fmt.Errorf("not ready: %w", err)
		}
		if err := healthResult(r, time.Now()).write(io.out, output.value); err != nil {
			return err
		}
		if !r.ready() {
			return withExitCode(exitUnavailable, fmt.Errorf("%s%s", r.Status, r.failures()))
		}
		return nil
	}
	return cmd
}

// askHealth asks the server at address how it is. An answer that is no report is an error.
func askHealth(ctx context.Context, address string) (*report, error) {
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(address, "/")+"/healthz/ready", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, withExitCode(exitUnavailable, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxHealthAnswer))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", response.Status, err)
	}
	if r := parseReport(body); r != nil && r.ready() == (response.StatusCode == http.StatusOK) {
		return r, nil
	}
	err = fmt.Errorf("%s: %s", response.Status, printable(strings.TrimSpace(string(body))))
	if response.StatusCode == http.StatusServiceUnavailable {
		return nil, withExitCode(exitUnavailable, err)
	}
	return nil, err
}

// parseReport reads the report of a server, or of an agent; nil if it is neither.
func parseReport(body []byte) *report {
	var r report
	if json.Unmarshal(body, &r) == nil && r.Status != "" {
		return &r
	}
	var a agent.Report
	if json.Unmarshal(body, &a) != nil || a.Checks == nil {
		return nil
	}
	r = report{Status: statusNotReady, Checks: make(map[string]finding)}
	if a.Ready {
		r.Status = statusReady
	}
	for name, text := range a.Checks {
		f := finding{OK: text == "ok", Note: a.Warnings[name]}
		if !f.OK {
			f.Error = text
		}
		r.Checks[name] = f
	}
	return &r
}

// failures are the checks that have failed, as the end of a sentence.
func (r *report) failures() string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(r.Checks)) {
		if f := r.Checks[name]; !f.OK {
			fmt.Fprintf(&text, ": %s: %s", printable(name), printable(f.Error))
		}
	}
	return text.String()
}

func healthResult(r *report, now time.Time) result {
	return result{value: r, table: func(w *tabwriter.Writer) {
		row(w, "CHECK", "STATE", "SINCE", "WHY")
		for _, name := range slices.Sorted(maps.Keys(r.Checks)) {
			f, state := r.Checks[name], "failed"
			if f.OK {
				state = "ok"
			}
			row(w, name, state, timeText(f.Since, now), firstOf(f.Error, f.Note))
		}
		row(w, "all", r.Status)
	}}
}
