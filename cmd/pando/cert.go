package main

import (
	"context"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/ca"
)

const certificatesPath = "v1/certificates"

func newCertCommand(io stdio) *cobra.Command {
	connection := &connectionFlags{}
	group := newGroup("cert", "Sign and revoke certificates, and look up what was issued",
		newCertSignCommand(io, connection),
		newCertListCommand(io, connection),
		newCertShowCommand(io, connection),
		newCertRevokeCommand(io, connection),
	)
	connection.addAdministratorTo(group)
	return group
}

// certFilter selects certificates.
type certFilter struct {
	spiffeID      string
	issuer        string
	state         *choice
	expiresBefore string
	expiresWithin duration
}

func (f *certFilter) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.spiffeID, "spiffe-id", "", "only those of this SPIFFE `ID`")
	flags.StringVar(&f.issuer, "issuer", "", "only those signed by the authority with this `ID`")
	flags.StringVar(&f.expiresBefore, "expires-before", "", "only those that end before this `time`, as 2030-01-01T00:00:00Z")
	addDuration(cmd, &f.expiresWithin, "expires-within", "only those that end within this time from now, such as 90m or 7d")
	f.state = addChoice(cmd, "state", "only those in this state", "live", "expired", "revoked")
}

func newCertListCommand(io stdio, connection *connectionFlags) *cobra.Command {
	var filter certFilter
	var part listing
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List certificates, latest expiry first",
		Example: `  pando cert list
  pando cert list --spiffe-id spiffe://example.org/web --state live
  pando cert list --state live --expires-within 1h --limit 0 -o json
  pando cert list --expires-before 2030-01-01T00:00:00Z -o id`,
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
		page, err := listCertificates(cmd.Context(), client, part, query)
		if err != nil {
			return err
		}
		if err := certificatesResult(page, now).write(io.out, output.value); err != nil {
			return err
		}
		hintMore(io, output.value, page.NextPageToken)
		return nil
	}
	return cmd
}

func listCertificates(ctx context.Context, client *apiClient, part listing, query url.Values) (page certificatePageJSON, err error) {
	page.Certificates, page.NextPageToken, err = collect(part, query, func(query url.Values) ([]certificateJSON, string, error) {
		var page certificatePageJSON
		err := client.call(ctx, apiRequest{method: http.MethodGet, path: certificatesPath, query: query}, &page)
		return page.Certificates, page.NextPageToken, err
	})
	return page, err
}

// query is the filter as the API takes it.
func (f *certFilter) query(now time.Time) (url.Values, error) {
	before, err := f.before(now)
	if err != nil {
		return nil, err
	}
	return queryOf(map[string]string{
		"spiffe_id": f.spiffeID, "issuer": f.issuer, "state": f.state.value, "expires_before": before,
	}), nil
}

// before is the end of the time that the filter covers, empty for all time.
func (f *certFilter) before(now time.Time) (string, error) {
	switch {
	case f.expiresBefore != "" && f.expiresWithin != 0:
		return "", usageErrorf("--expires-before and --expires-within exclude each other")
	case f.expiresWithin != 0:
		return now.Add(time.Duration(f.expiresWithin)).UTC().Format(time.RFC3339Nano), nil
	case f.expiresBefore != "":
		t, err := time.Parse(time.RFC3339, f.expiresBefore)
		if err != nil {
			return "", usageErrorf("--expires-before %q is not a time such as 2030-01-01T00:00:00Z", f.expiresBefore)
		}
		return t.UTC().Format(time.RFC3339Nano), nil
	}
	return "", nil
}

func certificatesResult(page certificatePageJSON, now time.Time) result {
	r := result{value: page, table: func(w *tabwriter.Writer) {
		row(w, "SERIAL", "SPIFFE ID", "PROFILE", "STATE", "EXPIRES", "METHOD")
		for _, c := range page.Certificates {
			row(w, c.Serial, c.SPIFFEID, c.Profile, c.State, timeText(c.NotAfter, now), c.Method)
		}
	}}
	for _, c := range page.Certificates {
		r.ids = append(r.ids, c.Serial)
	}
	return r
}

func newCertShowCommand(io stdio, connection *connectionFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show SERIAL",
		Short: "Show the record of one certificate",
		Long:  "Show the record of one certificate: what it says, who asked for it, and how.",
		Example: `  pando cert show 6b0381f0a9c2c79a53b1c9ad4a0f6c1be2d3f4
  pando cert show 6b0381f0a9c2c79a53b1c9ad4a0f6c1be2d3f4 -o pem | openssl x509 -noout -text`,
		Args: cobra.ExactArgs(1),
	}
	output := addOutput(cmd, formTable, formJSON, formYAML, formPEM)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := objectPath(certificatesPath, serialText(args[0]))
		if err != nil {
			return err
		}
		now := time.Now()
		client, err := connection.dial(io, now)
		if err != nil {
			return err
		}
		var certificate certificateJSON
		if err := client.call(cmd.Context(), apiRequest{method: http.MethodGet, path: path}, &certificate); err != nil {
			return err
		}
		return certificateResult(certificate, now).write(io.out, output.value)
	}
	return cmd
}

// serialDigits is the length of a serial number in hex.
const serialDigits = 2 * len(ca.Serial{})

// serialText takes a serial number as openssl prints it, too: in capitals, with colons, and
// without leading zeros.
func serialText(text string) string {
	digits := strings.ToLower(strings.ReplaceAll(text, ":", ""))
	if _, err := hex.DecodeString(digits); err != nil || digits == "" || len(digits) >= serialDigits {
		return digits
	}
	return strings.Repeat("0", serialDigits-len(digits)) + digits
}

func certificateResult(c certificateJSON, now time.Time) result {
	return result{value: c, pem: c.Certificate, table: func(w *tabwriter.Writer) {
		fact(w, "Serial", c.Serial)
		fact(w, "SPIFFE ID", c.SPIFFEID)
		fact(w, "DNS names", strings.Join(c.DNSNames, ", "))
		fact(w, "State", c.State)
		fact(w, "Revoked", timeText(c.RevokedAt, now))
		fact(w, "Reason", c.RevocationReason)
		fact(w, "Not before", timeText(c.NotBefore, now))
		fact(w, "Not after", timeText(c.NotAfter, now))
		fact(w, "Profile", c.Profile)
		fact(w, "Issuer", c.Issuer)
		fact(w, "Key", c.KeyAlgorithm)
		fact(w, "Key SHA-256", c.KeyHash)
		describeX509(w, c.Certificate)
		fact(w, "Issued", timeText(c.IssuedAt, now))
		fact(w, "Asked for by", c.Caller)
		fact(w, "Authenticated", c.Method)
		fact(w, "From", c.Address)
		fact(w, "Entry", c.EntryID)
		fact(w, "Replaces", c.Replaces)
		fact(w, "Request", c.RequestID)
	}}
}
