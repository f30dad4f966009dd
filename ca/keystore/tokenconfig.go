package keystore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.step.sm/crypto/kms/uri"
)

// scheme is that of the URIs of tokens and of keys in them (RFC 7512).
const scheme = "pkcs11"

// TokenConfig says which token to use, and how.
type TokenConfig struct {
	// URI names the module and the token: pkcs11:module-path=/usr/lib/….so;token=pando. In
	// place of token it may have serial or slot-id; max-sessions bounds the sessions. It
	// holds no PIN.
	URI string
	PIN string // of the token's user; required
}

// Validate returns an error unless the configuration is complete. It does not look at the
// token, and its text holds no PIN.
func (c TokenConfig) Validate() error {
	if err := ValidTokenURI(c.URI); err != nil {
		return err
	}
	if c.PIN == "" {
		return errors.New("the PIN is missing")
	}
	return nil
}

// ValidTokenURI returns an error unless text can be the URI of a [TokenConfig]. The error does
// not repeat the text: somebody may have put a PIN there.
func ValidTokenURI(text string) error {
	u, err := uri.ParseWithScheme(scheme, text)
	if err != nil {
		return errors.New("is not a URI such as pkcs11:module-path=/usr/lib/softhsm/libsofthsm2.so;token=pando")
	}
	tokens := 0
	for name := range uri.Values(u) {
		switch name {
		case "pin-value", "pin-source", "pin-prompt":
			return fmt.Errorf("holds %s: the PIN belongs into a file or the environment", name)
		case "token", "serial", "slot-id":
			tokens++
		case "module-path", "max-sessions":
		default:
			return fmt.Errorf("attribute %q is unknown", name)
		}
	}
	switch module := u.Get("module-path"); {
	case module == "":
		return errors.New("lacks module-path")
	case !filepath.IsAbs(module):
		return errors.New("module-path is not absolute")
	case tokens != 1:
		return errors.New("names a token by exactly one of token, serial and slot-id")
	}
	return nil
}

// maxPINFile is more than any PIN needs.
const maxPINFile = 1 << 10

// ReadPIN reads a PIN from a file that nobody but its owner may read; see [ReadSealKey]. White
// space around it is not part of it.
func ReadPIN(path string) (string, error) {
	f, err := openSecret(path)
	if err != nil {
		return "", fmt.Errorf("read PIN: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPINFile))
	if err != nil {
		return "", fmt.Errorf("read PIN: %w", err)
	}
	pin := strings.TrimSpace(string(text))
	if pin == "" {
		return "", fmt.Errorf("read PIN: %s is empty", path)
	}
	return pin, nil
}

// openSecret opens a regular file that is its owner's alone.
func openSecret(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is not a regular file", path)
	case info.Mode().Perm()&othersMayRead != 0:
		err = fmt.Errorf("%s has mode %04o, want %04o: others may read it", path, info.Mode().Perm(), sealKeyMode)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
