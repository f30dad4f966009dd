package main

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/keystore"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/internal/durable"
)

func newCeremonyCommand(io stdio) *cobra.Command {
	group := newGroup("ceremony", "Make a root elsewhere, and sign intermediates with it",
		newCeremonyRootCommand(io),
		newCeremonySignCommand(io),
	)
	group.Long = `Make a root on a machine that is no server, and sign the requests of pando authority csr with it.
All that decides what is made is in one YAML file, which is reviewed before. Nothing that exists is
overwritten, and what was written is read back and verified. What is printed is for the minutes.`
	return group
}

// ceremonyFlags is what both steps take.
type ceremonyFlags struct {
	config, out, passphrase string
}

func (f *ceremonyFlags) addTo(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "the reviewed YAML file")
	cmd.Flags().StringVar(&f.out, "out", "", "directory of what is made; it is made if it is not there")
	cmd.Flags().StringVar(&f.passphrase, "passphrase-file", "", `file with the passphrase of the root's key, "-" for standard input (not with a token)`)
}

// ceremony is a step that is about to be done.
type ceremony struct {
	cfg        ceremonyConfig
	td         spiffeid.TrustDomain
	dir        string
	passphrase string
	minutes    io.Writer
}

// Files that a ceremony makes.
const (
	ceremonyRootName = "root.pem"
	ceremonyKeyName  = "root.key.age" // the key as PKCS #8 in PEM, encrypted under the passphrase
	ceremonyRefName  = "root.key.uri" // or where in the token it is
)

func (f *ceremonyFlags) open(streams stdio) (*ceremony, error) {
	if f.config == "" || f.out == "" {
		return nil, usageErrorf("--config and --out are required")
	}
	c := &ceremony{dir: f.out, minutes: streams.out}
	text, err := os.ReadFile(f.config)
	if err != nil {
		return nil, fmt.Errorf("ceremony: %w", err)
	}
	if err := parseConfig(&c.cfg, f.config, text); err != nil {
		return nil, err
	}
	if err := c.cfg.validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", f.config, err)
	}
	if c.td, err = spiffeid.ParseTrustDomain(c.cfg.TrustDomain); err != nil {
		return nil, err
	}
	if c.cfg.Root.Token.URI == "" {
		if c.passphrase, err = readPassphrase(streams.in, f.passphrase); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, fmt.Errorf("ceremony: %w", err)
	}
	c.note("configuration", "%s, SHA-256 %s", f.config, fingerprint(text))
	return c, nil
}

// shortestPassphrase is for a file that may be copied and attacked for years. scrypt makes each
// guess cost about a second.
const shortestPassphrase = 16

func readPassphrase(in io.Reader, name string) (string, error) {
	if name == "" {
		return "", usageErrorf("--passphrase-file is required: the root's key is encrypted under it")
	}
	text, err := readInput(in, name)
	if err != nil {
		return "", fmt.Errorf("passphrase: %w", err)
	}
	passphrase := strings.TrimRight(string(text), "\r\n")
	if len(passphrase) < shortestPassphrase {
		return "", fmt.Errorf("the passphrase has %d octets, want at least %d", len(passphrase), shortestPassphrase)
	}
	return passphrase, nil
}

func (c *ceremony) path(name string) string { return filepath.Join(c.dir, name) }

// fresh refuses to go on when a file is there that would be made.
func (c *ceremony) fresh(names ...string) error {
	for _, name := range names {
		if exists(c.path(name)) {
			return fmt.Errorf("%s is there already: nothing is overwritten, and nothing was made", c.path(name))
		}
	}
	return nil
}

// note writes a line of the minutes.
func (c *ceremony) note(what, format string, args ...any) {
	fmt.Fprintf(c.minutes, "%-15s%s\n", what, fmt.Sprintf(format, args...))
}

// noteCertificate writes what a certificate is into the minutes.
func (c *ceremony) noteCertificate(what string, cert *x509.Certificate) {
	c.note(what, "%s, %s", ca.AuthorityID(cert), cert.Subject)
	c.note("", "SHA-256 %s", fingerprint(cert.Raw))
	c.note("", "valid from %s to %s", cert.NotBefore.UTC().Format(time.RFC3339), cert.NotAfter.UTC().Format(time.RFC3339))
}

// writeCertificates writes a new file and reads it back.
func (c *ceremony) writeCertificates(name string, certs ...*x509.Certificate) error {
	var text []byte
	for _, cert := range certs {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	if err := durable.WriteNewFile(c.path(name), text, 0o644); err != nil {
		return err
	}
	found, err := readCertificates(c.path(name))
	if err != nil {
		return err
	}
	if len(found) != len(certs) {
		return fmt.Errorf("%s: reads back as %d certificates, want %d", c.path(name), len(found), len(certs))
	}
	for i, cert := range certs {
		if !found[i].Equal(cert) {
			return fmt.Errorf("%s: reads back as another certificate", c.path(name))
		}
	}
	c.note("written", "%s", c.path(name))
	return nil
}

func readCertificates(path string) ([]*x509.Certificate, error) {
	text, err := readInput(nil, path)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return certs, nil
}

// withToken calls f with the token of the configuration.
func (c *ceremony) withToken(f func(*keystore.Token) (crypto.Signer, error), use func(crypto.Signer) error) error {
	keys := keysConfig{URI: c.cfg.Root.Token.URI, PINFile: c.cfg.Root.Token.PINFile}
	pin, err := keys.pin()
	if err != nil {
		return err
	}
	token, err := keystore.OpenToken(keystore.TokenConfig{URI: keys.URI, PIN: pin})
	if err != nil {
		return err
	}
	signer, err := f(token)
	if err == nil {
		err = use(signer)
	}
	return errors.Join(err, token.Close())
}
