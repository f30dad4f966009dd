package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

const mtlsPoliciesPath = "v1/mtls/policies"

// mtlsPolicyJSON is a rule for the programs under a pattern.
type mtlsPolicyJSON struct {
	Pattern       string    `json:"pattern"`
	Name          string    `json:"name,omitempty"`
	Mode          string    `json:"mode"`
	PlaintextDial bool      `json:"plaintext_dial,omitempty"`
	Version       uint64    `json:"version"`
	UpdatedAt     time.Time `json:"updated_at"`
	UpdatedBy     string    `json:"updated_by"`
}

// mtlsPolicyPageJSON is a page of a listing.
type mtlsPolicyPageJSON struct {
	Policies      []mtlsPolicyJSON `json:"policies"`
	NextPageToken string           `json:"next_page_token,omitempty"`
}

// setMTLSPolicyJSON is a policy that is wanted.
type setMTLSPolicyJSON struct {
	Pattern       string  `json:"pattern"`
	Name          string  `json:"name,omitempty"`
	Mode          string  `json:"mode"`
	PlaintextDial bool    `json:"plaintext_dial,omitempty"`
	Version       *uint64 `json:"version,omitempty"`
}

func newMTLSPolicyCommand(io stdio, connection *connectionFlags) *cobra.Command {
	group := newGroup("policy", "Manage the rules by patterns of SPIFFE IDs",
		newMTLSPolicyListCommand(io, connection),
		newMTLSPolicySetCommand(io, connection),
		newMTLSPolicyDeleteCommand(io, connection),
	)
	group.Long = `Manage mTLS policies. A policy is for the SPIFFE IDs whose path its pattern matches: * stands for
one segment, ** at the end for any rest. Of those that match, the narrowest decides; without one,
listeners are strict and nobody dials plaintext.`
	return group
}

func newMTLSPolicyListCommand(io stdio, connection *connectionFlags) *cobra.Command {
	var part listing
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List policies, ordered by pattern and name",
		Example: `  pando mtls policy list
  pando mtls policy list --limit 0 -o json`,
		Args: cobra.NoArgs,
	}
	part.addTo(cmd)
	output := addOutput(cmd, formTable, formJSON, formYAML)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		now := time.Now()
		client, err := connection.dial(io, now)
		if err != nil {
			return err
		}
		page, err := listMTLSPolicies(cmd.Context(), client, part)
		if err != nil {
			return err
		}
		if err := mtlsPoliciesResult(page, now).write(io.out, output.value); err != nil {
			return err
		}
		hintMore(io, output.value, page.NextPageToken)
		return nil
	}
	return cmd
}

func listMTLSPolicies(ctx context.Context, client *apiClient, part listing) (page mtlsPolicyPageJSON, err error) {
	page.Policies, page.NextPageToken, err = collect(part, url.Values{}, func(query url.Values) ([]mtlsPolicyJSON, string, error) {
		var page mtlsPolicyPageJSON
		err := client.call(ctx, apiRequest{method: http.MethodGet, path: mtlsPoliciesPath, query: query}, &page)
		return page.Policies, page.NextPageToken, err
	})
	return page, err
}

// versionFlag is the version of a policy that somebody has seen.
type versionFlag struct{ text string }

func (v *versionFlag) addTo(cmd *cobra.Command, usage string) {
	cmd.Flags().StringVar(&v.text, "if-version", "", usage)
}

// parse returns nil when there is none.
func (v *versionFlag) parse() (*uint64, error) {
	if v.text == "" {
		return nil, nil
	}
	version, err := strconv.ParseUint(v.text, 10, 64)
	if err != nil {
		return nil, usageErrorf("--if-version: %q is not a version, as pando mtls policy list -o json shows it", v.text)
	}
	return &version, nil
}

func newMTLSPolicySetCommand(io stdio, connection *connectionFlags) *cobra.Command {
	var request setMTLSPolicyJSON
	var seen versionFlag
	cmd := &cobra.Command{
		Use:   "set PATTERN --mode MODE",
		Short: "Make a policy, or replace the one with this pattern and name",
		Long: `Make a policy, or replace the one with this pattern and name. Programs that follow are told within
a second.

Modes of listeners: strict takes mutual TLS only, permissive mutual TLS and plaintext on one port,
disabled plaintext only. A listener whose code names a mode keeps it. Requires the role admin.`,
		Example: `  pando mtls policy set '/ns/prod/**' --mode strict
  pando mtls policy set '/ns/prod/sa/web' --name metrics --mode permissive
  pando mtls policy set '/ns/dev/**' --mode permissive --plaintext-dial`,
		Args: cobra.ExactArgs(1),
	}
	mode := addChoice(cmd, "mode", "mode of listeners that follow policy (required)", "strict", "permissive", "disabled")
	cmd.Flags().StringVar(&request.Name, "name", "", "only listeners and dialers of this `name` (default: all)")
	cmd.Flags().BoolVar(&request.PlaintextDial, "plaintext-dial", false, "dialers whose code allows plaintext may use it")
	seen.addTo(cmd, "fail if the policy has another `version` meanwhile; 0: if there is one")
	output := addOutput(cmd, formTable, formJSON, formYAML)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		request.Pattern, request.Mode = args[0], mode.value
		if request.Mode == "" {
			return usageErrorf("--mode is needed: strict, permissive or disabled")
		}
		if request.Version, err = seen.parse(); err != nil {
			return err
		}
		now := time.Now()
		client, err := connection.dial(io, now)
		if err != nil {
			return err
		}
		var p mtlsPolicyJSON
		if err := client.call(cmd.Context(), apiRequest{method: http.MethodPut, path: mtlsPoliciesPath, body: request}, &p); err != nil {
			return err
		}
		return mtlsPolicyResult(p, now).write(io.out, output.value)
	}
	return cmd
}

func newMTLSPolicyDeleteCommand(io stdio, connection *connectionFlags) *cobra.Command {
	var name string
	var seen versionFlag
	cmd := &cobra.Command{
		Use:   "delete PATTERN",
		Short: "Delete a policy",
		Long: `Delete a policy. What it decided is decided by the next wider one that matches; without one, it is
strict. Requires the role admin.`,
		Example: `  pando mtls policy delete '/ns/dev/**'
  pando mtls policy delete '/ns/prod/sa/web' --name metrics`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&name, "name", "", "the policy with this `name` (default: the one without)")
	seen.addTo(cmd, "fail if the policy has another `version` meanwhile")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := seen.parse(); err != nil {
			return err
		}
		client, err := connection.dial(io, time.Now())
		if err != nil {
			return err
		}
		query := queryOf(map[string]string{"pattern": args[0], "name": name, "version": seen.text})
		if err := client.call(cmd.Context(), apiRequest{method: http.MethodDelete, path: mtlsPoliciesPath, query: query}, nil); err != nil {
			return err
		}
		fmt.Fprintf(io.out, "policy %s deleted\n", printable(args[0]))
		return nil
	}
	return cmd
}

func mtlsPoliciesResult(page mtlsPolicyPageJSON, now time.Time) result {
	return result{value: page, table: func(w *tabwriter.Writer) {
		row(w, "PATTERN", "NAME", "MODE", "PLAINTEXT DIAL", "CHANGED", "BY")
		for _, p := range page.Policies {
			row(w, p.Pattern, p.Name, p.Mode, yesText(p.PlaintextDial), timeText(p.UpdatedAt, now), p.UpdatedBy)
		}
	}}
}

func mtlsPolicyResult(p mtlsPolicyJSON, now time.Time) result {
	return result{value: p, table: func(w *tabwriter.Writer) {
		fact(w, "Pattern", p.Pattern)
		fact(w, "Name", p.Name)
		fact(w, "Mode", p.Mode)
		fact(w, "Plaintext dial", yesText(p.PlaintextDial))
		fact(w, "Version", strconv.FormatUint(p.Version, 10))
		fact(w, "Changed", timeText(p.UpdatedAt, now))
		fact(w, "By", p.UpdatedBy)
	}}
}
