package main

import (
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

const effectiveMTLSPath = "v1/mtls/effective"

// effectiveMTLSJSON is what the programs with one SPIFFE ID are told, and why.
type effectiveMTLSJSON struct {
	SPIFFEID  string                  `json:"spiffe_id"`
	Version   string                  `json:"version"`
	Rules     []effectiveRuleJSON     `json:"rules"`
	Overruled []effectiveRuleJSON     `json:"overruled"`
	Overrides []effectiveOverrideJSON `json:"overrides"`
}

// effectiveRuleJSON is a policy that matches an identity.
type effectiveRuleJSON struct {
	Pattern       string `json:"pattern"`
	Name          string `json:"name,omitempty"`
	Mode          string `json:"mode"`
	PlaintextDial bool   `json:"plaintext_dial,omitempty"`
}

// effectiveOverrideJSON is an override in force on an identity.
type effectiveOverrideJSON struct {
	ID        string    `json:"id"`
	Pattern   string    `json:"pattern"`
	Name      string    `json:"name,omitempty"`
	Side      string    `json:"side"`
	ExpiresAt time.Time `json:"expires_at"`
	Reason    string    `json:"reason"`
}

func newMTLSCommand(io stdio) *cobra.Command {
	connection := &connectionFlags{}
	group := newGroup("mtls", "Say who must use mutual TLS, and see who could",
		newMTLSPolicyCommand(io, connection),
		newMTLSOverrideCommand(io, connection),
		newMTLSShowCommand(io, connection),
		newMTLSReadinessCommand(io, connection),
	)
	group.Long = `Say which listeners take mutual TLS only, by patterns of SPIFFE IDs; let plaintext in for an hour
at most when something is on fire; and see which listeners could be strict. It is for programs
that follow the policy of the server.`
	connection.addAdministratorTo(group)
	return group
}

func newMTLSShowCommand(io stdio, connection *connectionFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show SPIFFE_ID",
		Short: "Show what holds for one identity, and why",
		Long: `Show what the programs with a SPIFFE ID are told: the policies that decide, those that match and
are overruled by a narrower one, and the overrides in force.`,
		Example: `  pando mtls show spiffe://example.org/ns/prod/sa/web
  pando mtls show spiffe://example.org/ns/prod/sa/web -o json`,
		Args: cobra.ExactArgs(1),
	}
	output := addOutput(cmd, formTable, formJSON, formYAML)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		now := time.Now()
		client, err := connection.dial(io, now)
		if err != nil {
			return err
		}
		var effective effectiveMTLSJSON
		request := apiRequest{method: http.MethodGet, path: effectiveMTLSPath, query: queryOf(map[string]string{"spiffe_id": args[0]})}
		if err := client.call(cmd.Context(), request, &effective); err != nil {
			return err
		}
		return effectiveResult(effective, now).write(io.out, output.value)
	}
	return cmd
}

func effectiveResult(e effectiveMTLSJSON, now time.Time) result {
	return result{value: e, table: func(w *tabwriter.Writer) {
		row(w, "", "NAME", "MODE", "PLAINTEXT DIAL", "PATTERN", "EXPIRES", "REASON")
		if len(e.Rules) == 0 || e.Rules[0].Name != "" { // ordered by name
			row(w, "decides", "", "strict", "", "(no policy)", "", "")
		}
		for _, r := range e.Rules {
			row(w, "decides", r.Name, r.Mode, yesText(r.PlaintextDial), r.Pattern, "", "")
		}
		for _, r := range e.Overruled {
			row(w, "overruled", r.Name, r.Mode, yesText(r.PlaintextDial), r.Pattern, "", "")
		}
		for _, o := range e.Overrides {
			row(w, "override", o.Name, o.Side, "", o.Pattern, timeText(o.ExpiresAt, now), o.Reason)
		}
	}}
}
