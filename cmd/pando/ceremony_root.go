package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/spf13/cobra"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/keystore"
	"github.com/pando-ca/pando/internal/durable"
)

func newCeremonyRootCommand(io stdio) *cobra.Command {
	flags := &ceremonyFlags{}
	cmd := &cobra.Command{
		Use:   "root --config FILE --out DIR",
		Short: "Make a root and its key",
		Long: `Make a root and its key, as the YAML file says: root.pem and root.key.age in DIR. The key is
encrypted under a passphrase by age (scrypt, ChaCha20-Poly1305); age -d opens it, too, and gives
PKCS #8 in PEM. With root.token in the file the key is made in a PKCS #11 token instead and never
leaves it, and root.key.uri says which one it is.`,
		Example: `  pando ceremony root --config ceremony.yaml --passphrase-file passphrase --out root
  pando ceremony root --config ceremony-token.yaml --out root`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := flags.open(io)
			if err != nil {
				return err
			}
			return c.root()
		},
	}
	flags.addTo(cmd)
	return cmd
}

// root makes the root. The key is safe before the certificate exists: if we crash between, a key
// is left that is worth nothing.
func (c *ceremony) root() error {
	if err := c.fresh(ceremonyRootName, ceremonyKeyName, ceremonyRefName); err != nil {
		return err
	}
	if c.cfg.Root.Token.URI != "" {
		return c.withToken(c.createInToken, c.certifyRoot)
	}
	signer, err := c.createInFile()
	if err != nil {
		return err
	}
	return c.certifyRoot(signer)
}

// rootKeyLabel is the label of the root's key in a token.
func (c *ceremony) rootKeyLabel() string { return ca.KeyLabel(c.td, ca.RoleRoot) }

func (c *ceremony) createInToken(token *keystore.Token) (crypto.Signer, error) {
	ref := keystore.NewReference(c.rootKeyLabel())
	// First: a key that nobody can name would be an orphan.
	if err := durable.WriteNewFile(c.path(ceremonyRefName), []byte(ref.String()+"\n"), 0o644); err != nil {
		return nil, err
	}
	signer, err := token.Create(ca.KeyAlgorithm(c.cfg.Root.Key), ref)
	if err != nil {
		return nil, err
	}
	c.note("key", "%s in the token, %s", c.cfg.Root.Key, ref)
	return signer, nil
}

func (c *ceremony) createInFile() (crypto.Signer, error) {
	signer, err := keystore.Generate(ca.KeyAlgorithm(c.cfg.Root.Key))
	if err != nil {
		return nil, err
	}
	sealed, err := encryptKey(signer, c.passphrase)
	if err != nil {
		return nil, err
	}
	if err := durable.WriteNewFile(c.path(ceremonyKeyName), sealed, 0o600); err != nil {
		return nil, err
	}
	found, err := c.openFromFile() // from here on, it is the key that was written that signs
	if err != nil {
		return nil, err
	}
	if !samePublic(found, signer.Public()) {
		return nil, fmt.Errorf("%s: reads back as another key", c.path(ceremonyKeyName))
	}
	c.note("key", "%s, encrypted under the passphrase", c.cfg.Root.Key)
	c.note("written", "%s", c.path(ceremonyKeyName))
	return found, nil
}

func (c *ceremony) certifyRoot(signer crypto.Signer) error {
	root, err := ca.NewRoot(ca.RootConfig{
		TrustDomain: c.td, Signer: signer, Organization: c.cfg.Root.Organization,
		NotBefore: c.cfg.Root.NotBefore, NotAfter: c.cfg.Root.NotAfter,
	})
	if err != nil {
		return err
	}
	c.noteCertificate("root", root)
	return c.writeCertificates(ceremonyRootName, root)
}

func samePublic(signer crypto.Signer, public crypto.PublicKey) bool {
	key, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(public)
}

// encryptKey encrypts a key under a passphrase. age rather than encrypted PKCS #8: the latter is
// CBC without authentication in what most software reads.
func encryptKey(signer crypto.Signer, passphrase string) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		return nil, fmt.Errorf("encrypt key: %w", err)
	}
	defer clear(der)
	plain := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	defer clear(plain)
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return nil, fmt.Errorf("encrypt key: %w", err)
	}
	var sealed bytes.Buffer
	armored := armor.NewWriter(&sealed)
	w, err := age.Encrypt(armored, recipient)
	if err != nil {
		return nil, fmt.Errorf("encrypt key: %w", err)
	}
	_, err = w.Write(plain)
	if err = errors.Join(err, w.Close(), armored.Close()); err != nil {
		return nil, fmt.Errorf("encrypt key: %w", err)
	}
	return sealed.Bytes(), nil
}

// decryptKey opens what encryptKey made.
func decryptKey(sealed []byte, passphrase string) (crypto.Signer, error) {
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return nil, fmt.Errorf("decrypt key: %w", err)
	}
	r, err := age.Decrypt(armor.NewReader(bytes.NewReader(sealed)), identity)
	var wrong *age.NoIdentityMatchError
	if errors.As(err, &wrong) {
		return nil, errors.New("decrypt key: the passphrase is wrong")
	}
	if err != nil {
		return nil, fmt.Errorf("decrypt key: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxInput))
	if err != nil {
		return nil, fmt.Errorf("decrypt key: %w", err)
	}
	defer clear(plain)
	block, rest := pem.Decode(plain)
	if block == nil || len(strings.TrimSpace(string(rest))) > 0 {
		return nil, errors.New("decrypt key: it holds no key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("decrypt key: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("decrypt key: %T cannot sign", key)
	}
	return signer, nil
}
