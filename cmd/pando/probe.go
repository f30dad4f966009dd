package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/client"
)

// probeOptions is how pando probe knocks.
type probeOptions struct {
	bundle      string
	certificate string
	key         string
	id          string
	alpn        []string
	timeout     time.Duration
}

func newProbeCommand(io stdio) *cobra.Command {
	o := probeOptions{}
	cmd := &cobra.Command{
		Use:   "probe HOST:PORT",
		Short: "Make a real mutual TLS handshake, and say what each side thinks of the other",
		Long: `Make one handshake with a server as the client library would, and say what each side makes of the
other: which versions and protocols they agree on, whether this side accepts the server's certificate
under the bundle, whether the server asks for a certificate, and whether it accepts the one that is shown.
Nothing is sent but the handshake. The certificate is shown only to a server that is accepted.

It exits with 0 when both sides accept, with 1 when one refuses, and with 5 when nobody answers. The
reasons are the words that the metrics of the client library use.`,
		Example: `  pando probe web.internal:8443 --bundle bundle.pem --certificate web.crt --key web.key
  pando probe web.internal:8443 --bundle bundle.pem --certificate combined.pem --id spiffe://example.org/web
  pando probe web.internal:8443 --bundle bundle.pem`,
		Args: cobra.ExactArgs(1),
	}
	flags := cmd.Flags()
	flags.StringVar(&o.bundle, "bundle", "", "file of the roots that this side trusts (PEM, or a SPIFFE bundle document)")
	flags.StringVar(&o.certificate, "certificate", "", "file of the certificate to show, with its chain (default: none is shown)")
	flags.StringVar(&o.key, "key", "", "file of its key (default: it is in the file of the certificate)")
	flags.StringVar(&o.id, "id", "", "SPIFFE ID that the server is to have (default: any of the trust domain)")
	flags.StringSliceVar(&o.alpn, "alpn", []string{"h2", "http/1.1"}, "application protocols to offer")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Second, "how long all of it may take")
	output := addOutput(cmd, formTable, formJSON, formYAML)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		report, err := o.probe(cmd.Context(), args[0], io)
		if err != nil {
			return err
		}
		if err := report.result(time.Now()).write(io.out, output.value); err != nil {
			return err
		}
		return report.failure()
	}
	return cmd
}

// probeJSON is what a handshake has shown.
type probeJSON struct {
	Address  string       `json:"address"`
	Took     string       `json:"took"`
	Version  string       `json:"tls_version,omitempty"`
	Cipher   string       `json:"cipher_suite,omitempty"`
	Protocol string       `json:"application_protocol,omitempty"`
	Server   probedServer `json:"server"`
	Client   probedClient `json:"client"`
}

// probedServer is the other side, and what this one makes of it.
type probedServer struct {
	SPIFFEID string    `json:"spiffe_id,omitempty"`
	NotAfter time.Time `json:"not_after,omitzero"`
	Accepted bool      `json:"accepted"`
	Reason   string    `json:"reason,omitempty"`
	Detail   string    `json:"detail,omitempty"`
}

// probedClient is this side, and what the other one makes of it.
type probedClient struct {
	SPIFFEID string `json:"spiffe_id,omitempty"` // that was shown
	Asked    bool   `json:"certificate_requested"`
	Accepted bool   `json:"accepted"`
	Reason   string `json:"reason,omitempty"`
	Detail   string `json:"detail,omitempty"`
}

// probe makes the handshake. Its error is one of this side's files, or that nobody answers.
func (o *probeOptions) probe(ctx context.Context, address string, io stdio) (*probeJSON, error) {
	report := &probeJSON{Address: address}
	cfg, err := o.tls(report, io)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	began := time.Now()
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, withExitCode(exitUnavailable, err)
	}
	defer raw.Close()
	conn := tls.Client(raw, cfg)
	err = conn.HandshakeContext(ctx)
	report.Took = time.Since(began).Round(time.Microsecond).String()
	if err == nil {
		report.agreed(conn.ConnectionState())
		err = afterwards(conn)
	}
	report.conclude(err, time.Now())
	return report, nil
}

// verdictTime is how long the other side has to refuse a certificate after the handshake: in TLS
// 1.3 this side is done before the other one has seen it (RFC 8446, section 4.4.4).
const verdictTime = 500 * time.Millisecond

// afterwards waits for what the other side makes of the certificate. That it says nothing, as a
// server does that waits for a request, means that it has accepted it.
func afterwards(conn *tls.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(verdictTime)); err != nil {
		return err
	}
	_, err := conn.Read(make([]byte, 1))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// tls is the configuration of the handshake, which fills in the report as it goes on.
func (o *probeOptions) tls(report *probeJSON, io stdio) (*tls.Config, error) {
	if o.bundle == "" {
		return nil, usageErrorf("--bundle is needed")
	}
	roots, err := readMaterial(o.bundle, io.in)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	var want spiffeid.ID
	if o.id != "" {
		if want, err = spiffeid.Parse(o.id); err != nil {
			return nil, withExitCode(exitUsage, fmt.Errorf("--id: %w", err))
		}
	}
	own, err := o.identity()
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         o.alpn,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection verifies, by SPIFFE ID
		VerifyConnection: func(state tls.ConnectionState) error {
			report.agreed(state)
			return report.Server.judge(state.PeerCertificates, roots.certificates, want, time.Now())
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			report.Client.Asked = true
			if len(own.Certificate) > 0 {
				report.Client.SPIFFEID = identityText(own)
			}
			return own, nil
		},
	}, nil
}

// identity is what this side shows; an empty certificate shows none.
func (o *probeOptions) identity() (*tls.Certificate, error) {
	if o.certificate == "" {
		if o.key != "" {
			return nil, usageErrorf("--key needs --certificate")
		}
		return &tls.Certificate{}, nil
	}
	key := o.key
	if key == "" {
		key = o.certificate
	}
	pair, err := tls.LoadX509KeyPair(o.certificate, key)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return &pair, nil
}

func identityText(own *tls.Certificate) string {
	id, err := spiffeid.FromCertificate(own.Leaf)
	if err != nil {
		return own.Leaf.Subject.String()
	}
	return id.String()
}

// judge notes whether this side accepts the server, and returns why not.
func (s *probedServer) judge(chain, roots []*x509.Certificate, want spiffeid.ID, now time.Time) error {
	if len(chain) > 0 {
		s.NotAfter = chain[0].NotAfter.UTC()
		if id, err := spiffeid.FromCertificate(chain[0]); err == nil {
			s.SPIFFEID = id.String()
		}
	}
	id, err := client.VerifyPeer(chain, roots, x509.ExtKeyUsageServerAuth, now)
	reason := client.ReasonBadIdentity
	switch {
	case err != nil:
		reason = client.ReasonOf(err, now)
	case !want.IsZero() && id != want:
		err = fmt.Errorf("it is %s, not %s", id, want)
	default:
		s.Accepted = true
		return nil
	}
	s.Reason, s.Detail = string(reason), err.Error()
	return err
}

// agreed notes what both sides have agreed on.
func (r *probeJSON) agreed(state tls.ConnectionState) {
	r.Version, r.Cipher = tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite)
	r.Protocol = state.NegotiatedProtocol
}

// conclude notes what the other side makes of this one: it has accepted it unless it said no.
func (r *probeJSON) conclude(err error, now time.Time) {
	switch {
	case err == nil:
		r.Client.Accepted = true
	case r.Server.Reason != "":
		r.Client.Detail = "not known: the server was refused first"
	default:
		r.Client.Reason, r.Client.Detail = string(client.ReasonOf(err, now)), err.Error()
	}
}

// failure is the outcome as an error, nil if both sides accept.
func (r *probeJSON) failure() error {
	switch {
	case r.Server.Reason != "":
		return fmt.Errorf("the server is refused: %s", r.Server.Detail)
	case !r.Client.Accepted:
		return fmt.Errorf("the server refuses: %s", r.Client.Detail)
	}
	return nil
}

func (r *probeJSON) result(now time.Time) result {
	return result{value: r, table: func(w *tabwriter.Writer) {
		fact(w, "Address", r.Address)
		fact(w, "Took", r.Took)
		fact(w, "TLS", r.Version)
		fact(w, "Cipher suite", r.Cipher)
		fact(w, "Protocol", r.Protocol)
		fact(w, "Server", firstOf(r.Server.SPIFFEID, "no SPIFFE ID"))
		fact(w, "  valid to", timeText(r.Server.NotAfter, now))
		fact(w, "  verdict here", verdictText(r.Server.Accepted, r.Server.Reason, r.Server.Detail))
		fact(w, "Client", r.shownText())
		fact(w, "  verdict there", verdictText(r.Client.Accepted, r.Client.Reason, r.Client.Detail))
	}}
}

// shownText is what this side has shown.
func (r *probeJSON) shownText() string {
	switch {
	case r.Server.Reason != "":
		return "nothing was shown"
	case !r.Client.Asked:
		return "the server asked for no certificate"
	case r.Client.SPIFFEID == "":
		return "the server asked for a certificate, and none was shown"
	}
	return r.Client.SPIFFEID
}

func verdictText(accepted bool, reason, detail string) string {
	switch {
	case accepted:
		return "accepted"
	case reason == "":
		return detail
	}
	return fmt.Sprintf("refused (%s): %s", reason, detail)
}
