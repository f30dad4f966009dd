package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

const entriesPath = "v1/entries"

func newEntryCommand(io stdio) *cobra.Command {
	connection := &connectionFlags{}
	group := newGroup("entry", "Manage the rules that give workloads their identities",
		newEntryCreateCommand(io, connection),
		newEntryListCommand(io, connection),
		newEntryShowCommand(io, connection),
		newEntryDeleteCommand(io, connection),
	)
	group.Long = `Manage entries. An entry is a rule: whoever shows a join token that is bound to it, or a
JWT with the claims that it names, gets its SPIFFE ID, its DNS names and its profile.`
	connection.addAdministratorTo(group)
	return group
}

func newEntryCreateCommand(io stdio, connection *connectionFlags) *cobra.Command {
	var request createEntryJSON
	var claims []string
	cmd := &cobra.Command{
		Use:   "create --spiffe-id ID",
		Short: "Make an entry",
		Long: `Make an entry. Without --issuer it is for join tokens (see pando token create). With
--issuer it is for JWTs of that issuer, which must have every --claim; a claim may also stand
in the SPIFFE ID in place of a whole path segment, as {name} or as a JSON pointer
{/nested/name}.

With --pre-renew Pando renews the certificates that are issued under it by itself, each for the
key that it has, for holders who can only download: see docs/renewal.md.

With --watch the end of the newest certificate for the SPIFFE ID is a metric of its own, with an
alert: for the few workloads whose expiry nobody may miss. At most 500 entries are watched, and
none with a claim in its SPIFFE ID: see docs/metrics.md.`,
		Example: `  pando entry create --spiffe-id spiffe://example.org/web
  pando entry create --spiffe-id spiffe://example.org/www --dns www.example.org --profile server
  pando entry create --issuer kubernetes --claim /kubernetes.io/namespace=shop \
      --spiffe-id 'spiffe://example.org/ns/shop/sa/{/kubernetes.io/serviceaccount/name}'
  pando entry create --spiffe-id spiffe://example.org/printer --pre-renew
  pando entry create --spiffe-id spiffe://example.org/gateway --watch`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&request.SPIFFEID, "spiffe-id", "", "SPIFFE `ID` that the workload gets (required)")
	flags.StringSliceVar(&request.DNSNames, "dns", nil, "DNS `name` that the workload may have; may be repeated")
	flags.StringVar(&request.Profile, "profile", "", "profile of the certificates (default workload)")
	flags.StringVar(&request.Issuer, "issuer", "", "configured `name` of the JWT issuer")
	flags.StringArrayVar(&claims, "claim", nil, "claim that a JWT must have, as `name=value`; may be repeated")
	flags.BoolVar(&request.PreRenew, "pre-renew", false, "renew its certificates, for the key that they have, for holders who only download")
	flags.BoolVar(&request.Watch, "watch", false, "make the end of its newest certificate a metric of its own, with an alert")
	completeFlag(cmd, "profile", completeProfiles)
	output := addOutput(cmd, formTable, formJSON, formYAML, formID)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := completeEntryRequest(&request, claims); err != nil {
			return err
		}
		now := time.Now()
		client, err := connection.dial(io, now)
		if err != nil {
			return err
		}
		var entry entryJSON
		err = client.call(cmd.Context(), apiRequest{method: http.MethodPost, path: entriesPath, body: request}, &entry)
		if err != nil {
			return err
		}
		return entryResult(entry, now).write(io.out, output.value)
	}
	return cmd
}

// completeEntryRequest works the method and the claims out, and finds what is missing.
func completeEntryRequest(request *createEntryJSON, claims []string) error {
	request.Method = "join_token"
	if request.Issuer != "" {
		request.Method = "jwt"
	}
	switch {
	case request.SPIFFEID == "":
		return usageErrorf("--spiffe-id is needed")
	case request.Issuer == "" && len(claims) > 0:
		return usageErrorf("--claim needs --issuer: join tokens have no claims")
	case request.Issuer != "" && len(claims) == 0:
		return usageErrorf("--issuer needs a --claim, or every token of the issuer would match")
	}
	request.Claims = make(map[string]string, len(claims))
	for _, claim := range claims {
		name, value, ok := strings.Cut(claim, "=")
		if _, twice := request.Claims[name]; !ok || name == "" || twice {
			return usageErrorf("--claim %q: each claim is given once, as name=value", claim)
		}
		request.Claims[name] = value
	}
	return nil
}

func newEntryListCommand(io stdio, connection *connectionFlags) *cobra.Command {
	var spiffeID string
	var part listing
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List entries",
		Example: `  pando entry list
  pando entry list --spiffe-id spiffe://example.org/web -o json
  pando entry list --method jwt --limit 0 -o id`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&spiffeID, "spiffe-id", "", "only entries with this SPIFFE `ID`, as it was written")
	method := addChoice(cmd, "method", "only entries for this credential", "join_token", "jwt")
	part.addTo(cmd)
	output := addOutput(cmd, formTable, formJSON, formYAML, formID)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := connection.dial(io, time.Now())
		if err != nil {
			return err
		}
		query := queryOf(map[string]string{"spiffe_id": spiffeID, "method": method.value})
		page, err := listEntries(cmd.Context(), client, part, query)
		if err != nil {
			return err
		}
		if err := entriesResult(page).write(io.out, output.value); err != nil {
			return err
		}
		hintMore(io, output.value, page.NextPageToken)
		return nil
	}
	return cmd
}

func listEntries(ctx context.Context, client *apiClient, part listing, query url.Values) (page entryPageJSON, err error) {
	page.Entries, page.NextPageToken, err = collect(part, query, func(query url.Values) ([]entryJSON, string, error) {
		var page entryPageJSON
		err := client.call(ctx, apiRequest{method: http.MethodGet, path: entriesPath, query: query}, &page)
		return page.Entries, page.NextPageToken, err
	})
	return page, err
}

func newEntryShowCommand(io stdio, connection *connectionFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:               "show ENTRY",
		Short:             "Show one entry",
		Example:           "  pando entry show ent_0123456789abcdef01234567",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeEntries(connection, 1),
	}
	output := addOutput(cmd, formTable, formJSON, formYAML, formID)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := objectPath(entriesPath, args[0])
		if err != nil {
			return err
		}
		now := time.Now()
		client, err := connection.dial(io, now)
		if err != nil {
			return err
		}
		var entry entryJSON
		if err := client.call(cmd.Context(), apiRequest{method: http.MethodGet, path: path}, &entry); err != nil {
			return err
		}
		return entryResult(entry, now).write(io.out, output.value)
	}
	return cmd
}

func newEntryDeleteCommand(io stdio, connection *connectionFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "delete ENTRY...",
		Short: "Delete entries",
		Long: `Delete entries and their join tokens, in the order given, up to the first that cannot be
deleted. Certificates that were issued under an entry live until they expire and can no longer
be renewed.`,
		Example: `  pando entry delete ent_0123456789abcdef01234567
  pando entry list --spiffe-id spiffe://example.org/old -o id | xargs pando entry delete`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeEntries(connection, 0),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := connection.dial(io, time.Now())
			if err != nil {
				return err
			}
			for _, id := range args {
				path, err := objectPath(entriesPath, id)
				if err != nil {
					return err
				}
				if err := client.call(cmd.Context(), apiRequest{method: http.MethodDelete, path: path}, nil); err != nil {
					return fmt.Errorf("entry %s: %w", printable(id), err)
				}
				fmt.Fprintf(io.out, "entry %s deleted\n", printable(id))
			}
			return nil
		},
	}
}

func entriesResult(page entryPageJSON) result {
	r := result{value: page, table: func(w *tabwriter.Writer) {
		row(w, "ID", "SPIFFE ID", "METHOD", "ISSUER", "PROFILE", "PRE-RENEW", "WATCH", "DNS NAMES")
		for _, e := range page.Entries {
			row(w, e.ID, e.SPIFFEID, e.Method, e.Issuer, e.Profile, yesText(e.PreRenew), yesText(e.Watch), strings.Join(e.DNSNames, ","))
		}
	}}
	for _, e := range page.Entries {
		r.ids = append(r.ids, e.ID)
	}
	return r
}

func entryResult(e entryJSON, now time.Time) result {
	return result{value: e, ids: []string{e.ID}, table: func(w *tabwriter.Writer) {
		fact(w, "Entry", e.ID)
		fact(w, "SPIFFE ID", e.SPIFFEID)
		fact(w, "DNS names", strings.Join(e.DNSNames, ", "))
		fact(w, "Profile", e.Profile)
		fact(w, "Method", e.Method)
		fact(w, "Issuer", e.Issuer)
		for _, name := range slices.Sorted(maps.Keys(e.Claims)) {
			fact(w, "Claim "+name, e.Claims[name])
		}
		fact(w, "Pre-renewed", yesText(e.PreRenew))
		fact(w, "Watched", yesText(e.Watch))
		fact(w, "Created", timeText(e.CreatedAt, now))
		fact(w, "Created by", e.CreatedBy)
	}}
}

// yesText is empty for what is not so.
func yesText(yes bool) string {
	if yes {
		return "yes"
	}
	return ""
}
