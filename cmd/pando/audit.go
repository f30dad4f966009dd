package main

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

const auditPath = "v1/audit"

// auditJSON is a change of state, as the API and an export have it.
type auditJSON struct {
	Seq    int64             `json:"seq"`
	At     time.Time         `json:"at"`
	Actor  string            `json:"actor"`
	Action string            `json:"action"`
	Target string            `json:"target,omitempty"`
	Detail map[string]string `json:"detail,omitempty"`
	Link   int64             `json:"link,omitempty"`
	Hash   string            `json:"hash,omitempty"`
}

// auditPageJSON is a page of a listing.
type auditPageJSON struct {
	Rows          []auditJSON `json:"rows"`
	NextPageToken string      `json:"next_page_token,omitempty"`
}

func newAuditCommand(io stdio) *cobra.Command {
	connection := &connectionFlags{}
	group := newGroup("audit", "Show who has changed what, and verify that nobody has changed that",
		newAuditListCommand(io, connection),
		newAuditVerifyCommand(io, connection),
		newAuditExportCommand(io, connection),
	)
	group.Long = `Show who has changed what. Every change leaves a row, in the same transaction. The rows are
chained by hashes: see docs/audit.md for what that proves.`
	connection.addAdministratorTo(group)
	return group
}

// auditFilter is what of the audit is wanted.
type auditFilter struct {
	actor, action, target string
	since, until          string
	order                 *choice
}

func (f *auditFilter) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.actor, "actor", "", "only what this `one` has done: a SPIFFE ID, or issuer and subject")
	flags.StringVar(&f.action, "action", "", "only this `action`, as entry.create")
	flags.StringVar(&f.target, "target", "", "only what was done to this `ID`")
	flags.StringVar(&f.since, "since", "", "only at this `moment` or later: 2030-01-01T00:00:00Z, or 24h ago as 24h")
	flags.StringVar(&f.until, "until", "", "only before this `moment`")
	f.order = addChoice(cmd, "order", "which comes first (default newest)", "newest", "oldest")
}

// query is the filter as the API takes it.
func (f *auditFilter) query(now time.Time) (url.Values, error) {
	since, err := momentText("since", f.since, now)
	if err != nil {
		return nil, err
	}
	until, err := momentText("until", f.until, now)
	if err != nil {
		return nil, err
	}
	return queryOf(map[string]string{
		"actor": f.actor, "action": f.action, "target": f.target, "since": since, "until": until, "order": f.order.value,
	}), nil
}

// momentText is a moment as the API takes it: one that was written as such, or as so long ago.
func momentText(flag, text string, now time.Time) (string, error) {
	if text == "" {
		return "", nil
	}
	var ago duration
	if err := ago.Set(text); err == nil && ago > 0 {
		return now.Add(-time.Duration(ago)).UTC().Format(time.RFC3339Nano), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return "", usageErrorf("--%s %q is neither a time such as 2030-01-01T00:00:00Z nor a span such as 24h", flag, text)
	}
	return t.UTC().Format(time.RFC3339Nano), nil
}

func newAuditListCommand(io stdio, connection *connectionFlags) *cobra.Command {
	var filter auditFilter
	var part listing
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List who has changed what, the newest first",
		Example: `  pando audit list
  pando audit list --since 24h --actor spiffe://example.org/pando/admin/ann
  pando audit list --target ent_1f0b3c7d9a2e4f6081b3c5d7 -o json`,
		Args: cobra.NoArgs,
	}
	filter.addTo(cmd)
	part.addTo(cmd)
	output := addOutput(cmd, formTable, formJSON, formYAML, formID)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		now := time.Now()
		query, err := filter.query(now)
		if err != nil {
			return err
		}
		client, err := connection.dial(io, now)
		if err != nil {
			return err
		}
		var page auditPageJSON
		page.Rows, page.NextPageToken, err = collect(part, query, auditPages(cmd.Context(), client))
		if err != nil {
			return err
		}
		if err := auditResult(page, now).write(io.out, output.value); err != nil {
			return err
		}
		hintMore(io, output.value, page.NextPageToken)
		return nil
	}
	return cmd
}

// auditPages asks a server for one page after the other.
func auditPages(ctx context.Context, client *apiClient) func(url.Values) ([]auditJSON, string, error) {
	return func(query url.Values) ([]auditJSON, string, error) {
		var page auditPageJSON
		err := client.call(ctx, apiRequest{method: http.MethodGet, path: auditPath, query: query}, &page)
		return page.Rows, page.NextPageToken, err
	}
}

func auditResult(page auditPageJSON, now time.Time) result {
	r := result{value: page, table: func(w *tabwriter.Writer) {
		row(w, "AT", "ACTOR", "ACTION", "TARGET", "DETAIL")
		for _, a := range page.Rows {
			row(w, timeText(a.At, now), a.Actor, a.Action, a.Target, detailText(a.Detail))
		}
	}}
	for _, a := range page.Rows {
		r.ids = append(r.ids, a.Target)
	}
	return r
}

// detailText is the detail of a row on one line.
func detailText(detail map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(detail)) {
		if detail[name] != "" {
			parts = append(parts, name+"="+detail[name])
		}
	}
	return strings.Join(parts, " ")
}

func newAuditExportCommand(io stdio, connection *connectionFlags) *cobra.Command {
	source := auditSource{connection: connection, config: configSource{env: os.Environ()}}
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Print the whole audit, the oldest row first, one JSON object a line",
		Long: `Print the whole audit, the oldest row first, one JSON object a line. pando audit verify --file reads it
back, without a server. With --config or --data it comes from the database itself; on SQLite the
server must be stopped meanwhile.`,
		Example: "  pando audit export > audit.jsonl\n  pando audit export --config /etc/pando/pando.yaml > audit.jsonl",
		Args:    cobra.NoArgs,
	}
	source.config.flags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		encoder := json.NewEncoder(io.out)
		encoder.SetEscapeHTML(false)
		return source.each(cmd.Context(), io, func(a *auditJSON) error { return encoder.Encode(a) })
	}
	return cmd
}
