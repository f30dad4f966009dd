package keystore

import (
	"crypto"
	"errors"
	"fmt"

	"go.step.sm/crypto/keyutil"
	"go.step.sm/crypto/pemutil"

	"github.com/pando-ca/pando/ca"
)

// Keys creates and opens the keys of authorities. It is safe for concurrent use.
type Keys struct {
	sealer  *Sealer
	token   *Token // nil: all keys are sealed
	inToken bool   // where new ones are made
	intents Intents
}

// Intents remembers a key outside of the database from before it is made.
type Intents interface {
	// Intend returns once it is durable that a key with this reference may exist soon.
	Intend(ref []byte) error
}

// New returns the keys that sealer seals.
func New(sealer *Sealer) *Keys { return &Keys{sealer: sealer} }

// WithToken returns keys of both kinds: those that sealer seals, and those in token. New ones
// are made in the token if inToken says so, each after intents has been told, and sealed
// otherwise: so keys can be moved from one to the other by rotation.
func WithToken(sealer *Sealer, token *Token, inToken bool, intents Intents) *Keys {
	return &Keys{sealer: sealer, token: token, inToken: inToken, intents: intents}
}

// Create makes a new key. It returns the signer, ready to use, and the reference to keep.
// label names the place where the reference will be kept, and Open wants it again.
func (k *Keys) Create(alg ca.KeyAlgorithm, label string) (signer crypto.Signer, ref []byte, err error) {
	if k.inToken {
		signer, ref, err = k.createInToken(alg, label)
	} else {
		signer, ref, err = k.createSealed(alg, label)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("create key: %w", err)
	}
	return signer, ref, nil
}

func (k *Keys) createInToken(alg ca.KeyAlgorithm, label string) (crypto.Signer, []byte, error) {
	ref := NewReference(label)
	// If we crash after this, the intent leads to the key, whether it was made or not.
	if err := k.intents.Intend([]byte(ref.String())); err != nil {
		return nil, nil, fmt.Errorf("intent: %w", err)
	}
	signer, err := k.token.Create(alg, ref)
	return signer, []byte(ref.String()), err
}

func (k *Keys) createSealed(alg ca.KeyAlgorithm, label string) (crypto.Signer, []byte, error) {
	signer, err := Generate(alg)
	if err != nil {
		return nil, nil, err
	}
	block, err := pemutil.Serialize(signer, pemutil.WithPKCS8(true))
	if err != nil {
		return nil, nil, err
	}
	defer clear(block.Bytes)
	ref, err := k.sealer.Seal(block.Bytes, []byte(label))
	return signer, ref, err
}

// Open returns the signer of the key that ref was made for under this label. It wraps
// [ErrOpen] when the seal key, the label or the reference is not the one of Create, and
// [ErrNoKey] when the token does not hold the key.
func (k *Keys) Open(ref []byte, label string) (signer crypto.Signer, err error) {
	if InToken(ref) {
		signer, err = k.openInToken(ref, label)
	} else {
		signer, err = k.openSealed(ref, label)
	}
	if err != nil {
		return nil, fmt.Errorf("open key: %w", err)
	}
	return signer, nil
}

// errNoToken says that a key is in a token, and none is configured.
var errNoToken = errors.New("it is in a token, and keys.uri names none")

func (k *Keys) openInToken(text []byte, label string) (crypto.Signer, error) {
	if k.token == nil {
		return nil, errNoToken
	}
	ref, err := ParseReference(string(text), label)
	if err != nil {
		return nil, err
	}
	return k.token.Open(ref)
}

func (k *Keys) openSealed(ref []byte, label string) (crypto.Signer, error) {
	der, err := k.sealer.Open(ref, []byte(label))
	if err != nil {
		return nil, err
	}
	defer clear(der)
	key, err := pemutil.ParseDER(der)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%T cannot sign", key)
	}
	if _, err := ca.KeyAlgorithmOf(signer.Public()); err != nil {
		return nil, err
	}
	return signer, nil
}

// Destroy deletes the key that ref names from its token. It is idempotent. A sealed key is in
// its reference and nowhere else: who drops that has destroyed the key.
func (k *Keys) Destroy(ref []byte) error {
	switch {
	case !InToken(ref):
		return nil
	case k.token == nil:
		return fmt.Errorf("destroy key: %w", errNoToken)
	}
	parsed, err := ParseReference(string(ref), labelOf(ref))
	if err != nil {
		return fmt.Errorf("destroy key: %w", err)
	}
	return k.token.Destroy(parsed)
}

// Check reports why keys in the token cannot be used now; nil when there is no token.
func (k *Keys) Check() error {
	if k.token == nil {
		return nil
	}
	return k.token.Check()
}

// Generate makes a key in memory.
func Generate(alg ca.KeyAlgorithm) (crypto.Signer, error) {
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
