package keystore

import (
	"crypto"
	"fmt"

	"go.step.sm/crypto/keyutil"
	"go.step.sm/crypto/pemutil"

	"github.com/pando-ca/pando/ca"
)

// Keys creates and opens the keys of authorities. It is safe for concurrent use.
type Keys struct {
	sealer *Sealer
}

// New returns the keys that sealer seals.
func New(sealer *Sealer) *Keys { return &Keys{sealer: sealer} }

// Create makes a new key. It returns the signer, ready to use, and the reference to keep.
// label names the place where the reference will be kept, and Open wants it again.
func (k *Keys) Create(alg ca.KeyAlgorithm, label string) (signer crypto.Signer, ref []byte, err error) {
	signer, err = generate(alg)
	if err != nil {
		return nil, nil, fmt.Errorf("create key: %w", err)
	}
	block, err := pemutil.Serialize(signer, pemutil.WithPKCS8(true))
	if err != nil {
		return nil, nil, fmt.Errorf("create key: %w", err)
	}
	defer clear(block.Bytes)
	ref, err = k.sealer.Seal(block.Bytes, []byte(label))
	if err != nil {
		return nil, nil, fmt.Errorf("create key: %w", err)
	}
	return signer, ref, nil
}

// Open returns the signer of the key that ref was made for under this label. It wraps
// [ErrOpen] when the seal key, the label or the reference is not the one of Create.
func (k *Keys) Open(ref []byte, label string) (crypto.Signer, error) {
	der, err := k.sealer.Open(ref, []byte(label))
	if err != nil {
		return nil, fmt.Errorf("open key: %w", err)
	}
	defer clear(der)
	key, err := pemutil.ParseDER(der)
	if err != nil {
		return nil, fmt.Errorf("open key: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("open key: %T cannot sign", key)
	}
	if _, err := ca.KeyAlgorithmOf(signer.Public()); err != nil {
		return nil, fmt.Errorf("open key: %w", err)
	}
	return signer, nil
}

func generate(alg ca.KeyAlgorithm) (crypto.Signer, error) {
	switch alg {
	case ca.ECDSAP256:
		return keyutil.GenerateSigner("EC", "P-256", 0)
	case ca.ECDSAP384:
		return keyutil.GenerateSigner("EC", "P-384", 0)
	case ca.Ed25519:
		return keyutil.GenerateSigner("OKP", "Ed25519", 0)
	case ca.RSA2048:
		return keyutil.GenerateSigner("RSA", "", 2048)
	case ca.RSA3072:
		return keyutil.GenerateSigner("RSA", "", 3072)
	case ca.RSA4096:
		return keyutil.GenerateSigner("RSA", "", 4096)
	}
	return nil, fmt.Errorf("key algorithm %q is unknown", alg)
}
