//go:build pkcs11

package keystore

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os"
	"sync"

	p11 "github.com/miekg/pkcs11"
	"go.step.sm/crypto/kms/apiv1"
	"go.step.sm/crypto/kms/pkcs11"
	"go.step.sm/crypto/kms/uri"

	"github.com/pando-ca/pando/ca"
)

// moduleSession is a login through a module of the operating system.
type moduleSession struct {
	kms *pkcs11.PKCS11

	mu   sync.Mutex
	keys map[string]crypto.Signer // found before, by reference: a search costs more than a signature
}

var _ session = (*moduleSession)(nil)

func login(cfg TokenConfig) (session, error) {
	if err := checkModule(cfg.URI); err != nil {
		return nil, err
	}
	kms, err := pkcs11.New(context.Background(), apiv1.Options{Type: apiv1.PKCS11, URI: cfg.URI, Pin: cfg.PIN})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tokenName(cfg.URI), describeModule(err))
	}
	return &moduleSession{kms: kms, keys: make(map[string]crypto.Signer)}, nil
}

// describeModule gives the errors of a login that an operator can do something about their
// own words.
func describeModule(err error) error {
	var code p11.Error
	if !errors.As(err, &code) {
		return err
	}
	switch code {
	case p11.CKR_PIN_INCORRECT, p11.CKR_PIN_INVALID, p11.CKR_PIN_LEN_RANGE, p11.CKR_PIN_EXPIRED:
		return fmt.Errorf("%w: %w", ErrPIN, code)
	case p11.CKR_PIN_LOCKED:
		return fmt.Errorf("%w any more, after too many wrong ones: %w", ErrPIN, code)
	}
	return err
}

// checkModule says that a module is missing where the linker would say it in many words.
func checkModule(text string) error {
	u, err := uri.ParseWithScheme(scheme, text)
	if err != nil {
		return err
	}
	if _, err := os.Stat(u.Get("module-path")); err != nil {
		return fmt.Errorf("PKCS #11 module: %w", err)
	}
	return nil
}

// tokenName is how the URI names the token, for messages.
func tokenName(text string) string {
	u, err := uri.ParseWithScheme(scheme, text)
	if err != nil {
		return "token"
	}
	for _, name := range []string{"token", "serial", "slot-id"} {
		if value := u.Get(name); value != "" {
			return fmt.Sprintf("%s %q", name, value)
		}
	}
	return "token"
}

func (s *moduleSession) create(alg ca.KeyAlgorithm, ref string) (crypto.Signer, error) {
	request := apiv1.CreateKeyRequest{Name: ref}
	switch alg {
	case ca.ECDSAP256:
		request.SignatureAlgorithm = apiv1.ECDSAWithSHA256
	case ca.ECDSAP384:
		request.SignatureAlgorithm = apiv1.ECDSAWithSHA384
	case ca.RSA2048:
		request.SignatureAlgorithm, request.Bits = apiv1.SHA256WithRSA, 2048
	case ca.RSA3072:
		request.SignatureAlgorithm, request.Bits = apiv1.SHA256WithRSA, 3072
	case ca.RSA4096:
		request.SignatureAlgorithm, request.Bits = apiv1.SHA256WithRSA, 4096
	default:
		return nil, fmt.Errorf("%w: %s", errUnsupportedKey, alg)
	}
	if _, err := s.kms.CreateKey(&request); err != nil {
		return nil, err
	}
	return s.key(ref)
}

func (s *moduleSession) key(ref string) (crypto.Signer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key := s.keys[ref]; key != nil {
		return key, nil
	}
	key, err := s.kms.CreateSigner(&apiv1.CreateSignerRequest{SigningKey: ref})
	if errors.Is(err, apiv1.NotFoundError{}) {
		return nil, fmt.Errorf("%w: %s", ErrNoKey, ref)
	}
	if err != nil {
		return nil, err
	}
	s.keys[ref] = key
	return key, nil
}

func (s *moduleSession) destroy(ref string) error {
	s.mu.Lock()
	delete(s.keys, ref)
	s.mu.Unlock()
	return s.kms.DeleteKey(ref)
}

// Close implements io.Closer.
func (s *moduleSession) Close() error { return s.kms.Close() }
