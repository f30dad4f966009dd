package keystore

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
)

// ErrOpen is returned when sealed octets cannot be opened: they were sealed under another
// key or for another place, or were altered. The cipher cannot tell which.
var ErrOpen = errors.New("sealed under another key or for another place, or altered")

const (
	sealVersion = 1
	sealKeySize = 32
	nonceSize   = 12
	tagSize     = 16
	overhead    = 1 + nonceSize + tagSize
)

// sealDomain separates the associated data of this package from any other use of the key.
const sealDomain = "pando seal v1\x00"

// Sealer encrypts small secrets under one key. It is safe for concurrent use. Nonces are
// random: one key may seal 2^32 times (NIST SP 800-38D, section 8.3), far more often than
// authorities are made.
type Sealer struct {
	aead cipher.AEAD
}

// NewSealer returns a sealer for key. The zero key is refused: nobody drew it.
func NewSealer(key [sealKeySize]byte) (*Sealer, error) {
	if key == [sealKeySize]byte{} {
		return nil, errors.New("new sealer: seal key is all zero")
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, fmt.Errorf("new sealer: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("new sealer: %w", err)
	}
	return &Sealer{aead: aead}, nil
}

// Seal encrypts plaintext. Open needs the same associated data, which is not secret and is
// not stored: it names the place that the secret belongs to.
func (s *Sealer) Seal(plaintext, associated []byte) ([]byte, error) {
	blob := make([]byte, 1+nonceSize, overhead+len(plaintext))
	blob[0] = sealVersion
	nonce := blob[1:]
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return s.aead.Seal(blob, nonce, plaintext, bind(associated)), nil
}

// Open decrypts what Seal made. The error is [ErrOpen], or says that the blob is none of
// Seal's.
func (s *Sealer) Open(blob, associated []byte) ([]byte, error) {
	switch {
	case len(blob) < overhead:
		return nil, fmt.Errorf("open sealed: %d octets are too few", len(blob))
	case blob[0] != sealVersion:
		return nil, fmt.Errorf("open sealed: version %d is unknown", blob[0])
	}
	plaintext, err := s.aead.Open(nil, blob[1:1+nonceSize], blob[1+nonceSize:], bind(associated))
	if err != nil {
		return nil, fmt.Errorf("open sealed: %w", ErrOpen)
	}
	return plaintext, nil
}

func bind(associated []byte) []byte {
	return append([]byte(sealDomain), associated...)
}
