package main

import (
	"context"
	"fmt"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

const mtlsOverridesPath = "v1/mtls/overrides"

// mtlsOverrideJSON lets plaintext in for a while.
type mtlsOverrideJSON struct {
	ID         string    `json:"id"`
	Pattern    string    `json:"pattern"`
	Name       string    `json:"name,omitempty"`
	Side       string    `json:"side"`
	Reason     string    `json:"reason"`
	StartedAt  time.Time `json:"started_at"`
	StartedBy  string    `json:"started_by"`
	ExpiresAt  time.Time `json:"expires_at"`
	EndedAt    time.Time `json:"ended_at,omitzero"`
	EndedBy    string    `json:"ended_by,omitempty"`
	EndReason  string    `json:"end_reason,omitempty"`
	DryRun     bool      `json:"dry_run,omitempty"`
	Identities int32     `json:"identities,omitempty"`
	More       bool      `json:"more,omitempty"`
}

// mtlsOverrideListJSON is overrides.
type mtlsOverrideListJSON struct {
	Overrides []mtlsOverrideJSON `json:"overrides"`
}

// startMTLSOverrideJSON is an override that is wanted.
type startMTLSOverrideJSON struct {
	Pattern  string `json:"pattern"`
	Name     string `json:"name,omitempty"`
	Side     string `json:"side,omitempty"`
	Duration string `json:"duration,omitempty"`
	Reason   string `json:"reason"`
	DryRun   bool   `json:"dry_run,omitempty"`
}

func newMTLSOverrideCommand(io stdio, connection *connectionFlags) *cobra.Command {
	group := newGroup("override", "Let plaintext in for an hour at most, in an emergency",
		newMTLSOverrideStartCommand(io, connection),
		newMTLSOverrideListCommand(io, connection),
		newMTLSOverrideEndCommand(io, connection),
	)
	group.Long = `Let plaintext in while something is on fire. An override ends by itself, after an hour at most, and
leaves a trace in the audit; a metric says that it is in force.`
	return group
}

func newMTLSOverrideStartCommand(io stdio, connection *connectionFlags) *cobra.Command {
	var request startMTLSOverrideJSON
	var lasts duration
	var yes bool
	cmd := &cobra.Command{
		Use:   "start PATTERN --reason REASON",
		Short: "Let plaintext in under a pattern",
		Long: `Let plaintext in under a pattern: listeners that follow policy are permissive, dialers whose code
allows plaintext use it. Listeners whose code names a mode keep it. Programs that follow are told
within a second, and go back by themselves when it expires.

It says how many live identities the pattern matches, and asks. Requires the role operator.`,
		Example: `  pando mtls override start '/ns/prod/sa/web' --reason "clients fail since 14:00" --for 15m
  pando mtls override start '/ns/prod/**' --side listen --reason "clients fail since 14:00" --dry-run`,
		Args: cobra.ExactArgs(1),
	}
	flags := cmd.Flags()
	flags.StringVar(&request.Reason, "reason", "", "why: one line, for the audit and the programs (required)")
	flags.StringVar(&request.Name, "name", "", "only listeners and dialers of this `name` (default: all)")
	side := addChoice(cmd, "side", "which end of connections (default both)", "listen", "dial", "both")
	addDuration(cmd, &lasts, "for", "how long, an hour at most (default 30m)")
	flags.BoolVar(&request.DryRun, "dry-run", false, "only say what would be done, and for how many")
	flags.BoolVarP(&yes, "yes", "y", false, "do not ask")
	output := addOutput(cmd, formTable, formJSON, formYAML, formID)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		request.Pattern, request.Side, request.Duration = args[0], side.value, wireDuration(lasts)
		if request.Reason == "" {
			return usageErrorf("--reason is needed")
		}
		client, err := connection.dial(io, time.Now())
		if err != nil {
			return err
		}
		if !request.DryRun && !yes {
			if err := confirmOverride(cmd.Context(), io, client, request); err != nil {
				return err
			}
		}
		o, err := startOverride(cmd.Context(), client, request)
		if err != nil {
			return err
		}
		return overrideResult(o, time.Now()).write(io.out, output.value)
	}
	return cmd
}

func startOverride(ctx context.Context, client *apiClient, request startMTLSOverrideJSON) (o mtlsOverrideJSON, err error) {
	err = client.call(ctx, apiRequest{method: http.MethodPost, path: mtlsOverridesPath, body: request}, &o)
	return o, err
}

// confirmOverride shows the dry run and asks.
func confirmOverride(ctx context.Context, io stdio, client *apiClient, request startMTLSOverrideJSON) error {
	request.DryRun = true
	o, err := startOverride(ctx, client, request)
	if err != nil {
		return err
	}
	if err := overrideResult(o, time.Now()).write(io.err, formTable); err != nil {
		return err
	}
	return askToDo(io)
}

func newMTLSOverrideListCommand(io stdio, connection *connectionFlags) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the overrides in force, those that began last first",
		Example: `  pando mtls override list
  pando mtls override list --all -o json`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&all, "all", false, "also those that are over, the last hundred in all")
	output := addOutput(cmd, formTable, formJSON, formYAML, formID)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		now := time.Now()
		client, err := connection.dial(io, now)
		if err != nil {
			return err
		}
		list, err := listOverrides(cmd.Context(), client, all)
		if err != nil {
			return err
		}
		return overridesResult(list, now).write(io.out, output.value)
	}
	return cmd
}

func listOverrides(ctx context.Context, client *apiClient, all bool) (list mtlsOverrideListJSON, err error) {
	request := apiRequest{method: http.MethodGet, path: mtlsOverridesPath}
	if all {
		request.query = queryOf(map[string]string{"all": "true"})
	}
	err = client.call(ctx, request, &list)
	return list, err
}

func newMTLSOverrideEndCommand(io stdio, connection *connectionFlags) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "end OVERRIDE --reason REASON",
		Short: "End an override before it expires",
		Long: `End an override before it expires. One that is over already stays as it is, and that is no error.
Requires the role operator.`,
		Example:           `  pando mtls override end ovr_0123456789abcdef01234567 --reason "clients are fixed"`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeFirst(connection, overrideCompletions),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why: one line, for the audit (required)")
	output := addOutput(cmd, formTable, formJSON, formYAML, formID)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if reason == "" {
			return usageErrorf("--reason is needed")
		}
		path, err := objectPath(mtlsOverridesPath, args[0])
		if err != nil {
			return err
		}
		client, err := connection.dial(io, time.Now())
		if err != nil {
			return err
		}
		var o mtlsOverrideJSON
		request := apiRequest{method: http.MethodDelete, path: path, query: queryOf(map[string]string{"reason": reason})}
		if err := client.call(cmd.Context(), request, &o); err != nil {
			return err
		}
		return overrideResult(o, time.Now()).write(io.out, output.value)
	}
	return cmd
}

func overridesResult(list mtlsOverrideListJSON, now time.Time) result {
	r := result{value: list, table: func(w *tabwriter.Writer) {
		row(w, "ID", "STATE", "PATTERN", "NAME", "SIDE", "STARTED", "EXPIRES", "BY", "REASON")
		for _, o := range list.Overrides {
			row(w, o.ID, o.stateText(now), o.Pattern, o.Name, o.Side, timeText(o.StartedAt, now), timeText(o.ExpiresAt, now), o.StartedBy, o.Reason)
		}
	}}
	for _, o := range list.Overrides {
		r.ids = append(r.ids, o.ID)
	}
	return r
}

func overrideResult(o mtlsOverrideJSON, now time.Time) result {
	return result{value: o, ids: []string{o.ID}, table: func(w *tabwriter.Writer) {
		if o.DryRun {
			fact(w, "Identities", o.affectedText())
		} else {
			fact(w, "Override", o.ID)
		}
		fact(w, "State", o.stateText(now))
		fact(w, "Pattern", o.Pattern)
		fact(w, "Name", o.Name)
		fact(w, "Side", o.Side)
		fact(w, "Reason", o.Reason)
		fact(w, "Started", timeText(o.StartedAt, now))
		fact(w, "By", o.StartedBy)
		fact(w, "Expires", timeText(o.ExpiresAt, now))
		fact(w, "Ended", timeText(o.EndedAt, now))
		fact(w, "Ended by", o.EndedBy)
		fact(w, "Ended since", o.EndReason)
	}}
}

func (o *mtlsOverrideJSON) stateText(now time.Time) string {
	switch {
	case o.DryRun:
		return "not started"
	case !o.EndedAt.IsZero():
		return "ended"
	case !now.Before(o.ExpiresAt):
		return "expired"
	}
	return "in force"
}

// affectedText is how many it would let plaintext in for.
func (o *mtlsOverrideJSON) affectedText() string {
	text := fmt.Sprintf("%d live ones match", o.Identities)
	if o.More {
		return "at least " + text
	}
	return text
}

// overrideCompletions are the IDs of the overrides in force, with their reasons beside them.
func overrideCompletions(ctx context.Context, client *apiClient) ([]cobra.Completion, error) {
	list, err := listOverrides(ctx, client, false)
	var found []cobra.Completion
	for _, o := range list.Overrides {
		found = append(found, cobra.CompletionWithDesc(o.ID, printable(o.Pattern+": "+o.Reason)))
	}
	return found, err
}
