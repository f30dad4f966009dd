package client

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// maxIdentity is the most that is read of a file with a key and a chain: those are some
// kilobytes.
const maxIdentity = 64 << 10

// keyBlock begins a key in PKCS #8 (RFC 7468, section 10).
const keyBlock = "PRIVATE KEY"

// encodeIdentity writes a key and its chain as one text in PEM, so that they cannot be of
// different certificates.
func encodeIdentity(s *snapshot) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(s.certificate.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err) // of an HSM, say
	}
	text := pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der})
	return append(text, encodeCertificates(s.chain)...), nil
}

// parseIdentity reads what encodeIdentity wrote. Whether the two belong together, and are good
// for anything, is for adopt to say.
func parseIdentity(text []byte) (chain []*x509.Certificate, key crypto.Signer, err error) {
	if !bytes.HasPrefix(text, []byte("-----BEGIN "+keyBlock+"-----\n")) {
		return nil, nil, errors.New("does not begin with a key")
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != keyBlock {
		return nil, nil, errors.New("key is damaged")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, nil, errors.New("key cannot be parsed") // the cause could quote it
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("a key of type %T cannot sign", parsed)
	}
	if chain, err = parseCertificates(rest, maxChain); err != nil {
		return nil, nil, err
	}
	return chain, key, nil
}
