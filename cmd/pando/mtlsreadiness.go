package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

const mtlsReadinessPath = "v1/mtls/readiness"

// mtlsReadinessJSON is whether the listeners with one name of one identity could be strict.
type mtlsReadinessJSON struct {
	SPIFFEID      string    `json:"spiffe_id"`
	Listener      string    `json:"listener"`
	Ready         bool      `json:"ready"`
	Reasons       []string  `json:"reasons,omitempty"`
	Instances     int32     `json:"instances"`
	Modes         []string  `json:"modes,omitempty"`
	ObservedSince time.Time `json:"observed_since,omitzero"`
	LastMTLS      time.Time `json:"last_mtls,omitzero"`
	LastPlaintext time.Time `json:"last_plaintext,omitzero"`
}

// mtlsReadinessPageJSON is a page of a listing.
type mtlsReadinessPageJSON struct {
	Listeners     []mtlsReadinessJSON `json:"listeners"`
	NextPageToken string              `json:"next_page_token,omitempty"`
}

func newMTLSReadinessCommand(io stdio, connection *connectionFlags) *cobra.Command {
	var over duration
	var pattern string
	cmd := &cobra.Command{
		Use:   "readiness",
		Short: "See which listeners could be strict",
		Long: `See which listeners could be strict, by what programs report: over the whole of the time no instance
accepted plaintext, somebody connected by mutual TLS, and no override is in force. Programs that do
not follow the server are not seen.

It exits with 0 when all that are listed are ready, and with 6 when one is not, or none is listed.

Reasons: plaintext (some instance accepted it in that time), not_observed (for a part of the time
no instance reports), no_mtls (nobody connected by mutual TLS in it), override (one is in force),
too_many_instances (more than the server keeps, so that some are missing).`,
		Example: `  pando mtls readiness --pattern '/ns/prod/**'
  pando mtls readiness --for 168h -o json`,
		Args: cobra.NoArgs,
	}
	addDuration(cmd, &over, "for", "over which time up to now, from 1m to 7d (default 24h)")
	cmd.Flags().StringVar(&pattern, "pattern", "", "only of SPIFFE IDs that this `pattern` matches")
	output := addOutput(cmd, formTable, formJSON, formYAML)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		now := time.Now()
		client, err := connection.dial(io, now)
		if err != nil {
			return err
		}
		list, err := listReadiness(cmd.Context(), client, queryOf(map[string]string{"for": wireDuration(over), "pattern": pattern}))
		if err != nil {
			return err
		}
		if err := readinessResult(list, now).write(io.out, output.value); err != nil {
			return err
		}
		return withExitCode(exitNotReady, list.notReady())
	}
	return cmd
}

// listReadiness asks for all of them: the exit code is about all.
func listReadiness(ctx context.Context, client *apiClient, query url.Values) (list mtlsReadinessPageJSON, err error) {
	list.Listeners, list.NextPageToken, err = collect(listing{}, query, func(query url.Values) ([]mtlsReadinessJSON, string, error) {
		var page mtlsReadinessPageJSON
		err := client.call(ctx, apiRequest{method: http.MethodGet, path: mtlsReadinessPath, query: query}, &page)
		return page.Listeners, page.NextPageToken, err
	})
	return list, err
}

// notReady is nil when all are ready.
func (l *mtlsReadinessPageJSON) notReady() error {
	missing := 0
	for i := range l.Listeners {
		if !l.Listeners[i].Ready {
			missing++
		}
	}
	switch {
	case len(l.Listeners) == 0:
		return errors.New("no program has reported a listener")
	case missing > 0:
		return fmt.Errorf("%d of %d listeners are not ready to be strict", missing, len(l.Listeners))
	}
	return nil
}

func readinessResult(list mtlsReadinessPageJSON, now time.Time) result {
	return result{value: list, table: func(w *tabwriter.Writer) {
		row(w, "SPIFFE ID", "LISTENER", "READY", "REASONS", "INSTANCES", "MODES", "OBSERVED SINCE", "LAST MTLS", "LAST PLAINTEXT")
		for _, l := range list.Listeners {
			ready := "no"
			if l.Ready {
				ready = "yes"
			}
			row(w, l.SPIFFEID, l.Listener, ready, strings.Join(l.Reasons, ","), strconv.Itoa(int(l.Instances)), strings.Join(l.Modes, ","),
				timeText(l.ObservedSince, now), timeText(l.LastMTLS, now), timeText(l.LastPlaintext, now))
		}
	}}
}
