package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/ca"
)

// signFlags are the flags of cert sign.
type signFlags struct {
	request  signRequestJSON
	validity duration
	csr      string
	out      string
	force    bool
}

func (f *signFlags) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.csr, "csr", "", "CSR `file`; - is standard input (required)")
	flags.StringVar(&f.request.SPIFFEID, "spiffe-id", "", "SPIFFE `ID` of the certificate")
	flags.StringSliceVar(&f.request.DNSNames, "dns", nil, "DNS `name` of the certificate; may be repeated")
	flags.StringVar(&f.request.Profile, "profile", "", "profile of the certificate (default workload)")
	addDuration(cmd, &f.validity, "duration", "validity period, such as 30m or 30d (default: the profile's)")
	flags.StringVar(&f.out, "out", "", "write the chain to this `file`, which must not exist")
	flags.BoolVar(&f.force, "force", false, "let --out replace a regular file")
	completeFlag(cmd, "profile", completeProfiles)
}

func newCertSignCommand(io stdio, connection *connectionFlags) *cobra.Command {
	flags := &signFlags{}
	cmd := &cobra.Command{
		Use:   "sign --csr FILE",
		Short: "Sign a CSR",
		Long: `Sign a CSR (PKCS #10, PEM or DER) as an administrator with the role operator. The SPIFFE ID is
the one named here, or the one in the CSR. The PEM chain, leaf first and without the root, goes to
standard output or to --out.`,
		Example: `  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
      -keyout web.key -subj / -out web.csr
  pando cert sign --csr web.csr --spiffe-id spiffe://example.org/web --out web.pem
  pando cert sign --csr www.csr --spiffe-id spiffe://example.org/www \
      --dns www.example.org --profile server --duration 30d
  cat web.csr | pando cert sign --csr - --spiffe-id spiffe://example.org/web -o json`,
		Args: cobra.NoArgs,
	}
	flags.addTo(cmd)
	output := addOutput(cmd, formPEM, formTable, formJSON, formYAML, formID)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		request, err := flags.complete(cmd, io)
		if err != nil {
			return err
		}
		now := time.Now()
		client, err := connection.dial(io, now)
		if err != nil {
			return err
		}
		to := deliverTo{form: output.value}
		if flags.out != "" {
			// First: a certificate that cannot be written would be issued for nothing.
			if to.file, err = flags.open(); err != nil {
				return err
			}
			defer to.file.discard()
		}
		issued, err := client.sign(cmd.Context(), request)
		if err != nil {
			return err
		}
		return deliverCertificate(io, issued, to, now)
	}
	return cmd
}

// open makes the file for the chain.
func (f *signFlags) open() (*outFile, error) {
	file, err := openOut(f.out, 0o644, f.force)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("--out: %s exists; --force replaces it", f.out)
	case err != nil:
		return nil, fmt.Errorf("--out: %w", err)
	}
	return file, nil
}

// complete makes the request of the flags and the CSR.
func (f *signFlags) complete(cmd *cobra.Command, io stdio) (signRequestJSON, error) {
	if cmd.Flags().Changed("duration") && time.Duration(f.validity) < time.Second {
		return f.request, usageErrorf("--duration %s is under one second", f.validity)
	}
	f.request.Duration = wireDuration(f.validity)
	err := readCSR(io, f.csr, &f.request)
	return f.request, err
}

// readCSR puts the CSR into a request, as PEM or as DER. Whether it is good is the
// server's to say.
func readCSR(streams stdio, path string, request *signRequestJSON) error {
	var data []byte
	var err error
	switch path {
	case "":
		return usageErrorf("--csr is needed")
	case "-":
		data, err = io.ReadAll(io.LimitReader(streams.in, ca.MaxCSRSize+1))
	default:
		data, err = os.ReadFile(path)
	}
	switch {
	case err != nil:
		return fmt.Errorf("read CSR: %w", err)
	case len(data) > ca.MaxCSRSize:
		return fmt.Errorf("the CSR is longer than %d bytes", ca.MaxCSRSize)
	case len(data) == 0:
		return fmt.Errorf("the CSR is empty")
	}
	if bytes.Contains(data, []byte("-----BEGIN")) {
		request.CSR = string(data)
		return nil
	}
	request.CSRDER = data
	return nil
}

// deliverCertificate writes the chain to a file, and prints what is asked for.
func deliverCertificate(streams stdio, issued *issuedJSON, to deliverTo, now time.Time) error {
	if to.file != nil {
		if err := to.file.write([]byte(issued.CertificateChain)); err != nil {
			// The certificate exists: whoever made it must be able to find it again.
			return fmt.Errorf("certificate %s is issued and not written: %w", issued.Serial, err)
		}
		if to.form == formPEM {
			_, err := fmt.Fprintf(streams.err, "%s: %s, serial %s, expires %s\n", to.file.path,
				printable(issued.SPIFFEID), printable(issued.Serial), timeText(issued.NotAfter, now))
			return err
		}
	}
	return issuedResult(issued, now).write(streams.out, to.form)
}

func issuedResult(c *issuedJSON, now time.Time) result {
	return result{value: c, ids: []string{c.Serial}, pem: c.CertificateChain, table: func(w *tabwriter.Writer) {
		fact(w, "Serial", c.Serial)
		fact(w, "SPIFFE ID", c.SPIFFEID)
		fact(w, "DNS names", strings.Join(c.DNSNames, ", "))
		fact(w, "Profile", c.Profile)
		fact(w, "Issuer", c.Issuer)
		fact(w, "Not before", timeText(c.NotBefore, now))
		fact(w, "Not after", timeText(c.NotAfter, now))
		fact(w, "Renew from", timeText(c.Renewal.Start, now))
	}}
}
