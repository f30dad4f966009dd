package main

import (
	"context"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

const identitiesPath = "v1/identities"

// identityJSON is a SPIFFE ID and its newest certificate.
type identityJSON struct {
	SPIFFEID  string      `json:"spiffe_id"`
	State     string      `json:"state"`
	Serial    string      `json:"serial"`
	Profile   string      `json:"profile"`
	Issuer    string      `json:"issuer"`
	NotBefore time.Time   `json:"not_before"`
	NotAfter  time.Time   `json:"not_after"`
	Renewal   renewalJSON `json:"renewal"`
}

// identityPageJSON is a page of a listing.
type identityPageJSON struct {
	Identities    []identityJSON `json:"identities"`
	NextPageToken string         `json:"next_page_token,omitempty"`
}

func newIdentityCommand(io stdio) *cobra.Command {
	connection := &connectionFlags{}
	group := newGroup("identity", "See who is overdue, expired or revoked",
		newIdentityListCommand(io, connection),
	)
	group.Long = `Look at identities. An identity is a SPIFFE ID; its newest certificate says how it is: live;
overdue, which is past the end of its renewal window; expired; or revoked.`
	connection.addAdministratorTo(group)
	return group
}

func newIdentityListCommand(io stdio, connection *connectionFlags) *cobra.Command {
	var part listing
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List identities, ordered by SPIFFE ID",
		Long: `List the identities whose newest certificate lives, or has ended as long ago as it lived, a day
at most.`,
		Example: `  pando identity list
  pando identity list --state overdue
  pando identity list --state expired --limit 0 -o json`,
		Args: cobra.NoArgs,
	}
	state := addChoice(cmd, "state", "only those in this state", "live", "overdue", "expired", "revoked")
	part.addTo(cmd)
	output := addOutput(cmd, formTable, formJSON, formYAML, formID)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		now := time.Now()
		client, err := connection.dial(io, now)
		if err != nil {
			return err
		}
		page, err := listIdentities(cmd.Context(), client, part, queryOf(map[string]string{"state": state.value}))
		if err != nil {
			return err
		}
		if err := identitiesResult(page, now).write(io.out, output.value); err != nil {
			return err
		}
		hintMore(io, output.value, page.NextPageToken)
		return nil
	}
	return cmd
}

func listIdentities(ctx context.Context, client *apiClient, part listing, query url.Values) (page identityPageJSON, err error) {
	page.Identities, page.NextPageToken, err = collect(part, query, func(query url.Values) ([]identityJSON, string, error) {
		var page identityPageJSON
		err := client.call(ctx, apiRequest{method: http.MethodGet, path: identitiesPath, query: query}, &page)
		return page.Identities, page.NextPageToken, err
	})
	return page, err
}

func identitiesResult(page identityPageJSON, now time.Time) result {
	r := result{value: page, table: func(w *tabwriter.Writer) {
		row(w, "SPIFFE ID", "STATE", "PROFILE", "RENEW BEFORE", "EXPIRES", "SERIAL")
		for _, i := range page.Identities {
			row(w, i.SPIFFEID, i.State, i.Profile, timeText(i.Renewal.End, now), timeText(i.NotAfter, now), i.Serial)
		}
	}}
	for _, i := range page.Identities {
		r.ids = append(r.ids, i.SPIFFEID)
	}
	return r
}
