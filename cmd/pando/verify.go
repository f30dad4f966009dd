package main

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/client"
)

// verifyOptions is what pando verify is asked.
type verifyOptions struct {
	bundle string
	crls   []string
	id     string
	at     string
	usage  *choice
}

func newVerifyCommand(io stdio) *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Say whether a peer would accept a certificate, and if not, why",
		Long: `Say whether a peer that trusts the roots of a bundle would accept the certificate of a file, with the
chain in it, as the client library does: chain, validity, usage, SPIFFE ID, and, with --crl, revocation.
No CA is asked. It exits with 0 when the certificate is accepted and with 1 when it is refused.

The reason is one of the words that the metrics of the client library use.`,
		Example: `  pando verify web.crt --bundle bundle.pem
  pando verify web.crt --bundle bundle.pem --id spiffe://example.org/web --usage server
  pando verify web.crt --bundle bundle.pem --at 2027-01-01T00:00:00Z
  pando verify web.crt --bundle bundle.pem --crl leaves.crl`,
		Args: cobra.ExactArgs(1),
	}
	flags := cmd.Flags()
	flags.StringVar(&o.bundle, "bundle", "", "file of the roots that the peer trusts (PEM, or a SPIFFE bundle document)")
	flags.StringVar(&o.id, "id", "", "SPIFFE ID that the peer expects")
	flags.StringVar(&o.at, "at", "", "moment to judge by, as 2027-01-01T00:00:00Z (default: now)")
	flags.StringArrayVar(&o.crls, "crl", nil, "file of a revocation list of an authority of the chain (repeatable)")
	o.usage = addChoice(cmd, "usage", "what the certificate is to serve as: server or client (default: both)", "server", "client")
	output := addOutput(cmd, formTable, formJSON, formYAML)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		verdict, err := o.judge(args[0], io, time.Now())
		if err != nil {
			return err
		}
		if err := verdict.result().write(io.out, output.value); err != nil {
			return err
		}
		if !verdict.Accepted {
			return fmt.Errorf("refused: %s", verdict.Detail)
		}
		return nil
	}
	return cmd
}

// verdictJSON is what a verifier says of a certificate.
type verdictJSON struct {
	Accepted bool      `json:"accepted"`
	SPIFFEID string    `json:"spiffe_id,omitempty"`
	Reason   string    `json:"reason,omitempty"` // of a refusal: see client.Reason
	Detail   string    `json:"detail,omitempty"`
	At       time.Time `json:"at"`
}

func (v *verdictJSON) result() result {
	return result{value: v, table: func(w *tabwriter.Writer) {
		verdict := "refused"
		if v.Accepted {
			verdict = "accepted"
		}
		fact(w, "Verdict", verdict)
		fact(w, "SPIFFE ID", v.SPIFFEID)
		fact(w, "Reason", v.Reason)
		fact(w, "Detail", v.Detail)
		fact(w, "At", v.At.Format(time.RFC3339))
	}}
}

// judge verifies the certificate of a file.
func (o *verifyOptions) judge(path string, io stdio, now time.Time) (*verdictJSON, error) {
	if o.bundle == "" {
		return nil, usageErrorf("--bundle is needed")
	}
	var want spiffeid.ID
	var err error
	if o.id != "" {
		if want, err = spiffeid.Parse(o.id); err != nil {
			return nil, withExitCode(exitUsage, fmt.Errorf("--id: %w", err))
		}
	}
	if o.at != "" {
		if now, err = time.Parse(time.RFC3339, o.at); err != nil {
			return nil, usageErrorf("--at: %q is not a time such as 2027-01-01T00:00:00Z", o.at)
		}
	}
	shown, err := readMaterial(path, io.in)
	if err != nil {
		return nil, err
	}
	roots, err := readMaterial(o.bundle, io.in)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	lists, err := o.readCRLs(io)
	if err != nil {
		return nil, err
	}
	verdict := &verdictJSON{At: now.UTC()}
	for _, usage := range o.usages() {
		id, err := client.VerifyPeer(shown.certificates, roots.certificates, usage, now)
		if err != nil {
			verdict.Reason, verdict.Detail = string(client.ReasonOf(err, now)), err.Error()
			return verdict, nil
		}
		verdict.SPIFFEID = id.String()
	}
	if !want.IsZero() && verdict.SPIFFEID != want.String() {
		verdict.Reason, verdict.Detail = string(client.ReasonBadIdentity), fmt.Sprintf("it is %s, not %s", verdict.SPIFFEID, want)
		return verdict, nil
	}
	if detail := lists.revoked(shown.certificates, roots.certificates, now); detail != "" {
		verdict.Reason, verdict.Detail = string(client.ReasonRevoked), detail
		return verdict, nil
	}
	verdict.Accepted = true
	return verdict, nil
}

func (o *verifyOptions) usages() []x509.ExtKeyUsage {
	switch o.usage.value {
	case "server":
		return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	case "client":
		return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
}

// revocationLists is the CRLs that a verifier has.
type revocationLists []*x509.RevocationList

// readCRLs reads lists in DER, as they are published, or in PEM.
func (o *verifyOptions) readCRLs(io stdio) (revocationLists, error) {
	var lists revocationLists
	for _, path := range o.crls {
		data, err := readLimited(path, io.in)
		if err != nil {
			return nil, fmt.Errorf("crl: %w", err)
		}
		if block, _ := pem.Decode(data); block != nil {
			data = block.Bytes
		}
		list, err := x509.ParseRevocationList(data)
		if err != nil {
			return nil, fmt.Errorf("crl %s: %w", path, err)
		}
		lists = append(lists, list)
	}
	return lists, nil
}

// revoked says what the lists have against a chain, "" if nothing. A list that nobody of the
// chain or the roots has signed, or that is not in force at now, is against it too: whoever
// gave it meant it to count. So is that none of them is about the first certificate: a list may
// be about a part of what its issuer has signed (RFC 5280, section 5.2.5).
func (lists revocationLists) revoked(chain, roots []*x509.Certificate, now time.Time) string {
	covered := len(lists) == 0
	for _, list := range lists {
		issuer := signerOf(list, append(chain[:len(chain):len(chain)], roots...))
		switch {
		case issuer == nil:
			return fmt.Sprintf("the revocation list of %s was signed by nobody of the chain", list.Issuer)
		case now.Before(list.ThisUpdate), now.After(list.NextUpdate):
			return fmt.Sprintf("the revocation list of %s is in force from %s to %s only", list.Issuer, rfc3339(list.ThisUpdate), rfc3339(list.NextUpdate))
		}
		for i, c := range chain {
			if c.CheckSignatureFrom(issuer) != nil || !inScope(list, c) {
				continue
			}
			covered = covered || i == 0
			for _, entry := range list.RevokedCertificateEntries {
				if entry.SerialNumber.Cmp(c.SerialNumber) == 0 {
					return fmt.Sprintf("certificate %038x was revoked at %s", c.SerialNumber, rfc3339(entry.RevocationTime))
				}
			}
		}
	}
	if !covered {
		return "no revocation list that was given is about this certificate: see its CRL URL, by pando inspect"
	}
	return ""
}

// inScope reports whether a list is about a certificate: it has no distribution point, or one of
// the certificate's.
func inScope(list *x509.RevocationList, c *x509.Certificate) bool {
	for _, extension := range list.Extensions {
		if !extension.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 28}) { // id-ce-issuingDistributionPoint
			continue
		}
		return slices.ContainsFunc(c.CRLDistributionPoints, func(url string) bool { return bytes.Contains(extension.Value, []byte(url)) })
	}
	return true
}

// signerOf is who of these has signed a list, nil if nobody.
func signerOf(list *x509.RevocationList, among []*x509.Certificate) *x509.Certificate {
	for _, c := range among {
		if list.CheckSignatureFrom(c) == nil {
			return c
		}
	}
	return nil
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }
