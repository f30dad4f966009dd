package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/ca"
)

const authoritiesPath = "v1/authorities"

// authorityJSON is a root or an intermediate, and what its next step waits for.
type authorityJSON struct {
	ID          string    `json:"id"`
	Role        string    `json:"role"`
	State       string    `json:"state"`
	ParentID    string    `json:"parent_id,omitempty"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	StateSince  time.Time `json:"state_since,omitzero"`
	Fingerprint string    `json:"fingerprint"`
	Certificate string    `json:"certificate"`
	Sequence    uint64    `json:"sequence,omitempty"`
	Waiting     string    `json:"waiting,omitempty"`
	OpensAt     time.Time `json:"opens_at,omitzero"`
	Live        int32     `json:"live,omitempty"`
	Followers   int32     `json:"followers,omitempty"`
	Behind      int32     `json:"behind,omitempty"`

	CRLThisUpdate time.Time `json:"crl_this_update,omitzero"`
	CRLNextUpdate time.Time `json:"crl_next_update,omitzero"`
	CRLEntries    int32     `json:"crl_entries,omitempty"`
}

// authorityListJSON is all authorities.
type authorityListJSON struct {
	Authorities []authorityJSON `json:"authorities"`
}

func newAuthorityCommand(io stdio) *cobra.Command {
	connection := &connectionFlags{}
	group := newGroup("authority", "Look at the roots and intermediates, rotate them by hand, import some",
		newAuthorityListCommand(io, connection),
		newAuthorityShowCommand(io, connection),
		newAuthorityCSRCommand(io, connection),
		newAuthorityImportCommand(io, connection),
		newAuthorityPrepareCommand(io, connection),
		newAuthorityRotateCommand(io, connection),
		newAuthorityActivateCommand(io, connection),
		newAuthorityTaintCommand(io, connection),
		newAuthorityRevokeCommand(io, connection),
	)
	group.Long = `Look at the authorities: the roots, which verifiers trust, and the intermediates, which sign.
Pando replaces them by itself; each says what its next step waits for. The other commands take a
step now: they say what it would do, and ask. It takes the role admin.`
	connection.addAdministratorTo(group)
	return group
}

func newAuthorityListCommand(io stdio, connection *connectionFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the authorities and what their rotation waits for",
		Long: `List the authorities in the order in which they were made. LIVE counts the certificates that
a retiring or tainted authority waits for. FOLLOWERS is of a prepared root: how many live certificates have
holders that acknowledged it, of those whose holders follow the trust bundle. OPENS is when the
next step is taken at the latest.`,
		Example: `  pando authority list
  pando authority list -o json`,
		Args: cobra.NoArgs,
	}
	output := addOutput(cmd, formTable, formJSON, formYAML, formID)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		now := time.Now()
		client, err := connection.dial(io, now)
		if err != nil {
			return err
		}
		list, err := listAuthorities(cmd.Context(), client)
		if err != nil {
			return err
		}
		return authoritiesResult(list, now).write(io.out, output.value)
	}
	return cmd
}

func listAuthorities(ctx context.Context, client *apiClient) (list authorityListJSON, err error) {
	err = client.call(ctx, apiRequest{method: http.MethodGet, path: authoritiesPath}, &list)
	return list, err
}

func authoritiesResult(list authorityListJSON, now time.Time) result {
	r := result{value: list, table: func(w *tabwriter.Writer) {
		row(w, "ROLE", "ID", "STATE", "SINCE", "NOT AFTER", "LIVE", "FOLLOWERS", "OPENS", "WAITING")
		for _, a := range list.Authorities {
			row(w, a.Role, a.ID, a.State, timeText(a.StateSince, now), timeText(a.NotAfter, now),
				a.liveText(), a.followersText(), timeText(a.OpensAt, now), a.Waiting)
		}
	}}
	for _, a := range list.Authorities {
		r.ids = append(r.ids, a.ID)
	}
	return r
}

// liveText is the number of certificates that the authority waits for. None is worth saying
// only where somebody counts: zero also means that the server does not.
func (a *authorityJSON) liveText() string {
	if a.Live == 0 && a.State != string(ca.StateRetiring) && a.State != string(ca.StateTainted) {
		return ""
	}
	return strconv.Itoa(int(a.Live))
}

// followersText is how many of the followers have acknowledged a prepared root, as "9812/10000".
func (a *authorityJSON) followersText() string {
	if a.Followers == 0 && a.State != string(ca.StatePrepared) {
		return ""
	}
	return fmt.Sprintf("%d/%d", a.Followers-a.Behind, a.Followers)
}

func newAuthorityShowCommand(io stdio, connection *connectionFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one authority",
		Long:  "Show one authority: where it stands in its life, what its next step waits for, and its certificate.",
		Example: `  pando authority show 8052de7c88641a6b
  pando authority show 8052de7c88641a6b -o pem | openssl x509 -noout -text`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeFirst(connection, authorityCompletions),
	}
	output := addOutput(cmd, formTable, formJSON, formYAML, formID, formPEM)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := objectPath(authoritiesPath, args[0])
		if err != nil {
			return err
		}
		now := time.Now()
		client, err := connection.dial(io, now)
		if err != nil {
			return err
		}
		var authority authorityJSON
		if err := client.call(cmd.Context(), apiRequest{method: http.MethodGet, path: path}, &authority); err != nil {
			return err
		}
		return authorityResult(authority, now).write(io.out, output.value)
	}
	return cmd
}

func authorityResult(a authorityJSON, now time.Time) result {
	return result{value: a, ids: []string{a.ID}, pem: a.Certificate, table: func(w *tabwriter.Writer) {
		fact(w, "Authority", a.ID)
		fact(w, "Role", a.Role)
		fact(w, "State", a.State)
		fact(w, "Since", timeText(a.StateSince, now))
		fact(w, "Waiting", a.Waiting)
		fact(w, "Opens", timeText(a.OpensAt, now))
		fact(w, "Live", a.liveText())
		fact(w, "Followers", a.followersText())
		fact(w, "Parent", a.ParentID)
		if a.Sequence > 0 {
			fact(w, "In bundles since", fmt.Sprintf("sequence %d", a.Sequence))
		}
		fact(w, "Not before", timeText(a.NotBefore, now))
		fact(w, "Not after", timeText(a.NotAfter, now))
		if !a.CRLThisUpdate.IsZero() {
			fact(w, "CRL issued", timeText(a.CRLThisUpdate, now))
			fact(w, "CRL good until", timeText(a.CRLNextUpdate, now))
			fact(w, "CRL entries", strconv.Itoa(int(a.CRLEntries)))
		}
		describeX509(w, a.Certificate)
	}}
}

// authorityCompletions are the IDs of the authorities, with what they are beside them.
func authorityCompletions(ctx context.Context, client *apiClient) ([]cobra.Completion, error) {
	list, err := listAuthorities(ctx, client)
	var found []cobra.Completion
	for _, a := range list.Authorities {
		found = append(found, cobra.CompletionWithDesc(a.ID, printable(a.State+" "+a.Role)))
	}
	return found, err
}

// completeFirst offers what find finds on the server, for a command that takes one argument.
func completeFirst(connection *connectionFlags, find func(context.Context, *apiClient) ([]cobra.Completion, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		client, err := connection.dial(stdio{err: io.Discard}, time.Now())
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		found, err := find(ctx, client)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}
