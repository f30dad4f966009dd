package ca_test

import (
	"crypto"
	"crypto/x509"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/spiffeid"
)

// failing is a signer that answers as it is told to.
type failing struct {
	crypto.Signer
	err     error
	garbage bool
}

func (s *failing) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	signature, err := s.Signer.Sign(random, digest, opts)
	if s.garbage && err == nil {
		signature[len(signature)-1] ^= 1
	}
	return signature, err
}

func TestProve(t *testing.T) {
	for _, alg := range []ca.KeyAlgorithm{ca.ECDSAP256, ca.ECDSAP384, ca.Ed25519, ca.RSA2048} {
		signer := &failing{Signer: catest.Key(t, alg)}
		authority := ca.AuthorityWith(rootOf(t, signer.Signer), signer)
		if err := authority.Prove(); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		signer.garbage = true
		if err := authority.Prove(); err == nil {
			t.Errorf("%s: a signature that is none is taken for one", alg)
		}
		signer.err = errors.New("token is away")
		if err := authority.Prove(); !errors.Is(err, signer.err) {
			t.Errorf("%s: %v, want the reason", alg, err)
		}
	}
	key := catest.Key(t, ca.ECDSAP256)
	if err := ca.AuthorityWith(rootOf(t, key), nil).Prove(); err == nil || !strings.Contains(err.Error(), "not at hand") {
		t.Errorf("without a key: %v", err)
	}
	if err := ca.AuthorityWith(rootOf(t, key), catest.Key(t, ca.ECDSAP256)).Prove(); err == nil || !strings.Contains(err.Error(), "not the key of the certificate") {
		t.Errorf("with another key: %v", err)
	}
}

func rootOf(t *testing.T, signer crypto.Signer) *x509.Certificate {
	t.Helper()
	td, err := spiffeid.ParseTrustDomain("example.org")
	if err != nil {
		t.Fatal(err)
	}
	root, err := ca.NewRoot(ca.RootConfig{TrustDomain: td, Signer: signer, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return root
}
