package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/spiffeid"
)

// inspectTimeout bounds the look at a live address.
const inspectTimeout = 10 * time.Second

func newInspectCommand(io stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect FILE|HOST:PORT",
		Short: "Show what a certificate, a chain, a bundle or a live server is",
		Long: `Show the certificates of a file (PEM, with or without its key; DER; a SPIFFE bundle document; - for
the standard input), or those that a server shows in a handshake, and what is wrong with them. Nothing
is verified against roots: see pando verify and pando probe for that. No CA is asked.`,
		Example: `  pando inspect web.crt
  pando inspect /run/pando/current/bundle.pem
  pando inspect web.internal:8443
  kubectl get secret web -o jsonpath='{.data.tls\.crt}' | base64 -d | pando inspect -`,
		Args: cobra.ExactArgs(1),
	}
	output := addOutput(cmd, formTable, formJSON, formYAML, formPEM)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		m, err := target(cmd.Context(), args[0], io)
		if err != nil {
			return err
		}
		return inspection(m, time.Now()).write(io.out, output.value)
	}
	return cmd
}

// target reads a file or asks a server. A file of the name comes first.
func target(ctx context.Context, name string, io stdio) (*material, error) {
	if _, err := os.Stat(name); err != nil && name != "-" {
		if _, _, split := net.SplitHostPort(name); split == nil {
			return shown(ctx, name)
		}
	}
	return readMaterial(name, io.in)
}

// shown is the chain that a server shows to anybody.
func shown(ctx context.Context, address string) (*material, error) {
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	var chain []*x509.Certificate
	dialer := &tls.Dialer{Config: &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // it is looked at and not trusted
		VerifyConnection: func(state tls.ConnectionState) error {
			chain = state.PeerCertificates
			return nil
		},
	}}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err == nil {
		err = conn.Close()
	}
	if len(chain) > 0 {
		return &material{certificates: chain}, nil // also when it went on to ask for a certificate of ours
	}
	return nil, withExitCode(exitUnavailable, errors.Join(fmt.Errorf("%s shows no certificate", address), err))
}

// inspectedJSON is what inspect prints.
type inspectedJSON struct {
	Certificates []inspectedCertificate `json:"certificates"`
	Key          string                 `json:"key,omitempty"` // matches or differs
	Findings     []string               `json:"findings,omitempty"`
}

type inspectedCertificate struct {
	SPIFFEID    string    `json:"spiffe_id,omitempty"`
	DNSNames    []string  `json:"dns_names,omitempty"`
	Subject     string    `json:"subject,omitempty"`
	Issuer      string    `json:"issuer"`
	Serial      string    `json:"serial"`
	CA          bool      `json:"ca"`
	Authority   string    `json:"authority,omitempty"` // ID, of a CA
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Key         string    `json:"key_algorithm"`
	KeyID       string    `json:"subject_key_id,omitempty"`
	IssuerKeyID string    `json:"authority_key_id,omitempty"`
	Usage       string    `json:"usage,omitempty"`
	CRLURLs     []string  `json:"crl_urls,omitempty"`
	IssuerURLs  []string  `json:"issuer_urls,omitempty"`
	Fingerprint string    `json:"fingerprint"`
	Findings    []string  `json:"findings,omitempty"`
}

func inspection(m *material, now time.Time) result {
	all := inspectedJSON{Findings: chainFindings(m.certificates, m.key)}
	if m.key != nil {
		all.Key = "differs"
		if matchesKey(m.certificates[0], m.key) {
			all.Key = "matches"
		}
	}
	var text strings.Builder
	for _, c := range m.certificates {
		all.Certificates = append(all.Certificates, inspect(c, now))
		text.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return result{value: all, pem: text.String(), table: func(w *tabwriter.Writer) { all.print(w, now) }}
}

func inspect(c *x509.Certificate, now time.Time) inspectedCertificate {
	shown := inspectedCertificate{
		DNSNames: c.DNSNames, Subject: c.Subject.String(), Issuer: c.Issuer.String(), Serial: fmt.Sprintf("%038x", c.SerialNumber),
		CA: c.IsCA, NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(), Key: keyText(c), Usage: usageText(c),
		KeyID: hex.EncodeToString(c.SubjectKeyId), IssuerKeyID: hex.EncodeToString(c.AuthorityKeyId),
		CRLURLs: c.CRLDistributionPoints, IssuerURLs: c.IssuingCertificateURL,
		Fingerprint: fingerprintText(c), Findings: findings(c, now),
	}
	if id, err := spiffeid.FromCertificate(c); err == nil {
		shown.SPIFFEID = id.String()
	}
	if c.IsCA {
		shown.Authority = ca.AuthorityID(c)
	}
	return shown
}

// keyText is the algorithm by Pando's name, or by Go's for one that Pando does not know.
func keyText(c *x509.Certificate) string {
	if algorithm, err := ca.KeyAlgorithmOf(c.PublicKey); err == nil {
		return string(algorithm)
	}
	return c.PublicKeyAlgorithm.String()
}

func (all *inspectedJSON) print(w *tabwriter.Writer, now time.Time) {
	for i, c := range all.Certificates {
		if i > 0 {
			row(w)
		}
		row(w, fmt.Sprintf("Certificate %d of %d", i+1, len(all.Certificates)))
		c.print(w, now)
	}
	if all.Key != "" {
		row(w)
		fact(w, "Key", all.Key+" the first certificate")
	}
	for _, finding := range all.Findings {
		fact(w, "Finding", finding)
	}
}

func (c *inspectedCertificate) print(w *tabwriter.Writer, now time.Time) {
	fact(w, "SPIFFE ID", c.SPIFFEID)
	fact(w, "DNS names", strings.Join(c.DNSNames, ", "))
	fact(w, "Authority", c.Authority)
	fact(w, "Subject", c.Subject)
	fact(w, "Issuer", c.Issuer)
	fact(w, "Serial", c.Serial)
	fact(w, "Not before", timeText(c.NotBefore, now))
	fact(w, "Not after", timeText(c.NotAfter, now)+lifeText(c.NotBefore, c.NotAfter, now))
	fact(w, "Key", c.Key)
	fact(w, "Key ID", c.KeyID)
	fact(w, "Signed by key", c.IssuerKeyID)
	fact(w, "Usage", c.Usage)
	fact(w, "Issuer URL", strings.Join(c.IssuerURLs, ", "))
	fact(w, "CRL URL", strings.Join(c.CRLURLs, ", "))
	fact(w, "SHA-256", c.Fingerprint)
	for _, finding := range c.Findings {
		fact(w, "Finding", finding)
	}
}

// lifeText is how much of its life a certificate has left.
func lifeText(notBefore, notAfter, now time.Time) string {
	left := float64(notAfter.Sub(now)) / float64(notAfter.Sub(notBefore))
	if left < 0 || left > 1 {
		return ""
	}
	return fmt.Sprintf(", %.0f%% of its life is left", 100*left)
}
