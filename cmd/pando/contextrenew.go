package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/internal/durable"
)

func newContextRenewCommand(io stdio) *cobra.Command {
	connection := &connectionFlags{}
	cmd := &cobra.Command{
		Use:   "renew [NAME]",
		Short: "Renew the administrator's certificate",
		Long: `Renew the administrator's certificate with a new key, and replace both files. The certificate
must still be valid: it is what proves who asks. An interruption at any point leaves a pair that
works.

The file of the trust bundle is brought up to date as well. If roots were replaced while nobody
renewed, the server is not trusted any more: then fetch the bundle from the public door of the
server (http://SERVER:8080/v1/bundle.pem) over a way that you trust, and put it there.`,
		Example:           "  pando context renew\n  pando context renew production",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeContexts,
	}
	connection.addAdministratorTo(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			connection.context = args[0]
		}
		now := time.Now()
		issued, err := renewAdministrator(cmd.Context(), connection, now)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(io.out, "%s: serial %s, expires %s\n",
			printable(issued.SPIFFEID), printable(issued.Serial), timeText(issued.NotAfter, now))
		return err
	}
	return cmd
}

// renewAdministrator replaces the certificate and the key in force.
func renewAdministrator(ctx context.Context, connection *connectionFlags, now time.Time) (*issuedJSON, error) {
	c, _, err := connection.resolve()
	if err != nil {
		return nil, err
	}
	if c.Certificate == "" {
		return nil, usageErrorf("there is no administrator's certificate to renew")
	}
	current, err := loadKeyPair(c.Certificate, c.Key)
	if err != nil {
		return nil, err
	}
	if !now.Before(current.Leaf.NotAfter) {
		return nil, expiredError(current.Leaf, now)
	}
	algorithm, err := ca.KeyAlgorithmOf(current.Leaf.PublicKey)
	if err != nil {
		return nil, err
	}
	client, err := connection.client(c, current)
	if err != nil {
		return nil, err
	}
	key, err := newKey(algorithm)
	if err != nil {
		return nil, err
	}
	issued, err := client.renew(ctx, key)
	if err != nil {
		return nil, err
	}
	if _, err := issued.verify(key, client.trust, now); err != nil {
		return nil, err
	}
	encoded, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	if err := replaceKeyPair(c.Certificate, c.Key, []byte(issued.CertificateChain), encoded); err != nil {
		return nil, fmt.Errorf("certificate %s is issued and not written: %w", issued.Serial, err)
	}
	if err := updateBundle(c.Bundle, client.trust, issued.Bundle.Roots); err != nil {
		return nil, fmt.Errorf("certificate %s is renewed, and the trust bundle is not: %w", issued.Serial, err)
	}
	return issued, nil
}

// updateBundle replaces the file of a trust bundle by the roots that the server has sent. Servers
// are only trusted under known roots, which change: whoever did not follow would be locked out.
func updateBundle(path string, known *trustRoots, roots string) error {
	sent, err := parseBundle([]byte(roots))
	if err != nil {
		return err
	}
	if sent.domain != known.domain {
		return fmt.Errorf("it is of trust domain %s, not %s", sent.domain, known.domain)
	}
	if bytes.Equal(sent.pem(), known.pem()) {
		return nil
	}
	return durable.ReplaceFile(path, sent.pem(), 0o644)
}
