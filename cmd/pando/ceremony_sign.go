package main

import (
	"crypto"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/keystore"
)

func newCeremonySignCommand(io stdio) *cobra.Command {
	flags := &ceremonyFlags{}
	var requests []string
	cmd := &cobra.Command{
		Use:   "sign --config FILE --out DIR --csr FILE",
		Short: "Sign intermediates with the root",
		Long: `Sign the requests of pando authority csr, or of pando init --offline-root, with the root that
pando ceremony root made in DIR. Nothing is taken from a request but its key: what the intermediate
says and how long it lives is in the YAML file. For each NAME.csr there is a NAME.pem in DIR then,
with the intermediate and the root, as pando authority import takes it.`,
		Example: `  pando ceremony sign --config ceremony.yaml --passphrase-file passphrase \
      --csr intermediate.csr --out root`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if len(requests) == 0 {
				return usageErrorf("--csr is required: the file with a request")
			}
			c, err := flags.open(io)
			if err != nil {
				return err
			}
			return c.sign(requests)
		},
	}
	flags.addTo(cmd)
	cmd.Flags().StringSliceVar(&requests, "csr", nil, "file with a request, more than once for several")
	return cmd
}

// signing is a request that was found to be good, and where its answer goes.
type signing struct {
	file   string
	public crypto.PublicKey
	out    string
}

// sign looks at all requests before the root signs any.
func (c *ceremony) sign(files []string) error {
	var signings []signing
	used := make(map[string]bool)
	for _, file := range files {
		s, err := c.read(file)
		if err != nil {
			return err
		}
		if used[s.out] {
			return fmt.Errorf("two requests would become %s", c.path(s.out))
		}
		used[s.out] = true
		signings = append(signings, s)
	}
	certs, err := readCertificates(c.path(ceremonyRootName))
	if err != nil {
		return fmt.Errorf("root: %w", err)
	}
	root := certs[0]
	return c.withRoot(root, func(signer crypto.Signer) error {
		c.noteCertificate("root", root)
		for _, s := range signings {
			if err := c.signOne(root, signer, s); err != nil {
				return fmt.Errorf("%s: %w", s.file, err)
			}
		}
		return nil
	})
}

// read checks a request.
func (c *ceremony) read(file string) (signing, error) {
	text, err := readInput(nil, file)
	if err != nil {
		return signing{}, err
	}
	public, err := ca.ParseIntermediateRequest(text, c.td)
	if err != nil {
		return signing{}, fmt.Errorf("%s: %w", file, err)
	}
	base := filepath.Base(file)
	s := signing{file: file, public: public, out: strings.TrimSuffix(base, filepath.Ext(base)) + ".pem"}
	return s, c.fresh(s.out)
}

// withRoot calls use with the key of the root, which must be that of its certificate.
func (c *ceremony) withRoot(root *x509.Certificate, use func(crypto.Signer) error) error {
	checked := func(signer crypto.Signer) error {
		if !samePublic(signer, root.PublicKey) {
			return fmt.Errorf("the key is not that of %s", c.path(ceremonyRootName))
		}
		return use(signer)
	}
	if c.cfg.Root.Token.URI != "" {
		return c.withToken(c.openFromToken, checked)
	}
	signer, err := c.openFromFile()
	if err != nil {
		return err
	}
	return checked(signer)
}

func (c *ceremony) openFromFile() (crypto.Signer, error) {
	sealed, err := readInput(nil, c.path(ceremonyKeyName))
	if err != nil {
		return nil, err
	}
	return decryptKey(sealed, c.passphrase)
}

func (c *ceremony) openFromToken(token *keystore.Token) (crypto.Signer, error) {
	text, err := readInput(nil, c.path(ceremonyRefName))
	if err != nil {
		return nil, err
	}
	ref, err := keystore.ParseReference(strings.TrimSpace(string(text)), c.rootKeyLabel())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.path(ceremonyRefName), err)
	}
	return token.Open(ref)
}

func (c *ceremony) signOne(root *x509.Certificate, signer crypto.Signer, s signing) error {
	cert, err := ca.NewIntermediate(ca.IntermediateConfig{
		TrustDomain: c.td, PublicKey: s.public, Parent: root, ParentSigner: signer,
		NotBefore: c.cfg.Intermediate.NotBefore, NotAfter: c.cfg.Intermediate.NotAfter,
		URLs: ca.URLs{Issuer: c.cfg.URLs.Issuer, CRL: c.cfg.URLs.CRL},
	})
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	// As of its first moment, which may lie ahead of the ceremony.
	_, err = cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: cert.NotBefore, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return err
	}
	key, err := ca.HashPublicKey(s.public)
	if err != nil {
		return err
	}
	c.note("request", "%s, SHA-256 of its key %s", s.file, hex.EncodeToString(key[:]))
	c.noteCertificate("intermediate", cert)
	return c.writeCertificates(s.out, cert, root)
}
