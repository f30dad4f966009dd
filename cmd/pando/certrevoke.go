package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

const revocationsPath = "v1/revocations"

// revokeRequestJSON says why a certificate is revoked.
type revokeRequestJSON struct {
	Reason string `json:"reason,omitempty"`
}

// createRevocationJSON selects certificates to revoke.
type createRevocationJSON struct {
	SPIFFEID string `json:"spiffe_id,omitempty"`
	Issuer   string `json:"issuer,omitempty"`
	KeyHash  string `json:"key_hash,omitempty"`
	Reason   string `json:"reason,omitempty"`
	DryRun   bool   `json:"dry_run,omitempty"`
}

// revocationJSON is what was revoked, or would be.
type revocationJSON struct {
	Certificates int32 `json:"certificates"`
	Identities   int32 `json:"identities,omitempty"`
	More         bool  `json:"more,omitempty"`
}

// revokeFlags say what to revoke, besides a serial number, and how.
type revokeFlags struct {
	selection createRevocationJSON
	keyFile   string
	reason    *choice
	dryRun    bool
	yes       bool
	output    *choice
}

func (f *revokeFlags) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.selection.SPIFFEID, "spiffe-id", "", "revoke all certificates of this SPIFFE `ID`")
	flags.StringVar(&f.selection.Issuer, "issuer", "", "revoke all that the authority with this `ID` has signed; it must not be active")
	flags.StringVar(&f.selection.KeyHash, "key-hash", "", "revoke all with the key of which this is the `SHA-256`, and block the key")
	flags.StringVar(&f.keyFile, "key-file", "", "the same for the key in this PEM `file`, a certificate or a public key")
	flags.BoolVar(&f.dryRun, "dry-run", false, "change nothing; say how many certificates and identities would be cut off")
	flags.BoolVar(&f.yes, "yes", false, "do not ask, however many certificates it is")
	f.reason = addChoice(cmd, "reason", "why; key_compromise blocks the public key, too (default unspecified)",
		"unspecified", "key_compromise", "affiliation_changed", "superseded", "cessation_of_operation", "privilege_withdrawn")
	f.reason.noun = "reason"
	f.output = addOutput(cmd, formTable, formJSON, formYAML)
}

func newCertRevokeCommand(io stdio, connection *connectionFlags) *cobra.Command {
	var flags revokeFlags
	cmd := &cobra.Command{
		Use:   "revoke [SERIAL]",
		Short: "Revoke certificates",
		Long: `Revoke one certificate, or all that have not expired of a SPIFFE ID, an issuer or a key. A
revoked certificate is not renewed any more, and clients of the library refuse it within
seconds. It stays revoked: to let its holder back in, issue another one.

Revoking what is revoked already changes nothing and succeeds. Before it revokes more than
one certificate the command says how many, and asks; where it cannot ask it needs --yes.

Reasons: unspecified, key_compromise, affiliation_changed, superseded, cessation_of_operation,
privilege_withdrawn (RFC 5280, section 5.3.1).`,
		Example: `  pando cert revoke 6b0381f0a9c2c79a53b1c9ad4a0f6c1be2d3f4 --reason superseded
  pando cert revoke --spiffe-id spiffe://example.org/web --dry-run
  pando cert revoke --key-file stolen.pem --reason key_compromise --yes`,
		Args: cobra.MaximumNArgs(1),
	}
	flags.addTo(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := flags.check(args); err != nil {
			return err
		}
		now := time.Now()
		client, err := connection.dial(io, now)
		if err != nil {
			return err
		}
		if len(args) == 1 {
			return flags.revokeOne(cmd.Context(), io, client, args[0])
		}
		return flags.revokeMany(cmd.Context(), io, client)
	}
	return cmd
}

// check finds out what is to be revoked, exactly one thing.
func (f *revokeFlags) check(args []string) (err error) {
	given := len(args)
	for _, text := range []string{f.selection.SPIFFEID, f.selection.Issuer, f.selection.KeyHash, f.keyFile} {
		if text != "" {
			given++
		}
	}
	if given != 1 {
		return usageErrorf("exactly one of SERIAL, --spiffe-id, --issuer, --key-hash and --key-file is needed")
	}
	if f.keyFile != "" {
		if f.selection.KeyHash, err = hashOfKeyFile(f.keyFile); err != nil {
			return fmt.Errorf("--key-file: %w", err)
		}
	}
	f.selection.KeyHash = strings.ToLower(strings.ReplaceAll(f.selection.KeyHash, ":", ""))
	f.selection.Reason = f.reason.value
	return nil
}

// hashOfKeyFile is the SHA-256 of the SubjectPublicKeyInfo of a certificate or a public key.
func hashOfKeyFile(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return "", fmt.Errorf("%s holds no PEM block", path)
	}
	var spki []byte
	switch block.Type {
	case "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		spki = certificate.RawSubjectPublicKeyInfo
	case "PUBLIC KEY":
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		if spki, err = x509.MarshalPKIXPublicKey(key); err != nil { // as Pando writes it
			return "", fmt.Errorf("%s: %w", path, err)
		}
	default:
		return "", fmt.Errorf("%s holds a %s, want a CERTIFICATE or a PUBLIC KEY", path, printable(block.Type))
	}
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:]), nil
}

// revokeOne revokes the certificate with a serial number.
func (f *revokeFlags) revokeOne(ctx context.Context, io stdio, client *apiClient, serial string) error {
	path, err := objectPath(certificatesPath, serialText(serial))
	if err != nil {
		return err
	}
	request := apiRequest{method: http.MethodPost, path: path + "/revoke", body: revokeRequestJSON{f.reason.value}}
	if f.dryRun {
		request = apiRequest{method: http.MethodGet, path: path}
	}
	var c certificateJSON
	if err := client.call(ctx, request, &c); err != nil {
		return err
	}
	now := time.Now()
	return result{value: c, table: func(w *tabwriter.Writer) {
		if c.State != "revoked" {
			fmt.Fprintf(w, "certificate %s of %s would be revoked; it is %s\n", printable(c.Serial), printable(c.SPIFFEID), printable(c.State))
			return
		}
		fmt.Fprintf(w, "certificate %s of %s is revoked since %s (%s)\n",
			printable(c.Serial), printable(c.SPIFFEID), timeText(c.RevokedAt, now), printable(c.RevocationReason))
	}}.write(io.out, f.output.value)
}

// revokeMany revokes what is selected, after it has said how much that is. One request does not
// take long, however much there is: it is sent again until all is revoked.
func (f *revokeFlags) revokeMany(ctx context.Context, io stdio, client *apiClient) error {
	would, err := f.ask(ctx, client, true)
	if err != nil {
		return err
	}
	if f.dryRun {
		return revocationResult(would, "would be revoked").write(io.out, f.output.value)
	}
	if would.Certificates > 1 && !f.yes {
		if err := confirm(io, counted(would)); err != nil {
			return err
		}
	}
	var did revocationJSON
	for {
		part, err := f.ask(ctx, client, false)
		if err != nil {
			return fmt.Errorf("%d certificates are revoked, the others not yet: %w", did.Certificates, err)
		}
		did.Certificates += part.Certificates
		if !part.More {
			return revocationResult(did, "revoked").write(io.out, f.output.value)
		}
		fmt.Fprintf(io.err, "pando: %d certificates are revoked so far\n", did.Certificates)
	}
}

func (f *revokeFlags) ask(ctx context.Context, client *apiClient, dryRun bool) (answer revocationJSON, err error) {
	selection := f.selection
	selection.DryRun = dryRun
	err = client.call(ctx, apiRequest{method: http.MethodPost, path: revocationsPath, body: selection}, &answer)
	return answer, err
}

func revocationResult(r revocationJSON, what string) result {
	return result{value: r, table: func(w *tabwriter.Writer) {
		fmt.Fprintf(w, "%s %s\n", counted(r), what)
	}}
}

// counted is how much that is, in words.
func counted(r revocationJSON) string {
	text := fmt.Sprintf("%d certificates", r.Certificates)
	if r.Certificates == 1 {
		text = "1 certificate"
	}
	switch r.Identities {
	case 0:
		return text
	case 1:
		return text + " of 1 identity"
	}
	return fmt.Sprintf("%s of %d identities", text, r.Identities)
}

// confirm asks on a terminal whether to go on, and refuses where there is none.
func confirm(io stdio, what string) error {
	file, ok := io.in.(*os.File)
	if ok {
		info, err := file.Stat()
		ok = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	if !ok {
		return usageErrorf("this would revoke %s; --yes does it", what)
	}
	fmt.Fprintf(io.err, "This revokes %s. Type yes to go on: ", what)
	answer, err := bufio.NewReader(file).ReadString('\n')
	if err != nil || strings.TrimSpace(answer) != "yes" {
		return fmt.Errorf("nothing was revoked; it would have been %s", what)
	}
	return nil
}
