package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/internal/durable"
)

// newKey makes a key of a kind that Pando certifies.
func newKey(algorithm ca.KeyAlgorithm) (crypto.Signer, error) {
	switch algorithm {
	case ca.ECDSAP256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ca.ECDSAP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case ca.Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case ca.RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case ca.RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case ca.RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	}
	return nil, fmt.Errorf("unknown key algorithm %q", algorithm)
}

// newCSR makes a request that names nothing: the names are the server's to give.
func newCSR(key crypto.Signer) ([]byte, error) {
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
}

// encodeKey writes a key as PKCS #8 in PEM.
func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// decodeKey reads what encodeKey wrote.
func decodeKey(data []byte) (crypto.Signer, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("is not one PKCS #8 key in PEM")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("holds a %T, which cannot sign", key)
	}
	return signer, nil
}

// nextSuffix marks the successor of a file while a pair of files is being replaced.
const nextSuffix = ".next"

// loadKeyPair reads a certificate with its chain, and its key. If an earlier renewal was
// interrupted between its two renames, this finishes it: see replaceKeyPair.
func loadKeyPair(certificatePath, keyPath string) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(certificatePath, keyPath)
	if err == nil {
		return &pair, nil
	}
	if next, nextErr := tls.LoadX509KeyPair(certificatePath+nextSuffix, keyPath); nextErr == nil {
		if err := os.Rename(certificatePath+nextSuffix, certificatePath); err != nil {
			return nil, fmt.Errorf("finish the renewal of %s: %w", certificatePath, err)
		}
		return &next, nil
	}
	return nil, fmt.Errorf("certificate %s with key %s: %w", certificatePath, keyPath, err)
}

// replaceKeyPair replaces a certificate and its key. One file that holds both is replaced in
// one step. Of two files both successors are made durable first; then the key is renamed,
// then the certificate. A stop before the first rename leaves the old pair; one between the
// renames leaves a new key whose certificate waits beside the old one, where loadKeyPair
// finds it.
func replaceKeyPair(certificatePath, keyPath string, chain, key []byte) error {
	if certificatePath == keyPath {
		return durable.ReplaceFile(certificatePath, append(bytes.Clone(key), chain...), 0o600)
	}
	if err := durable.CheckReplaceable(certificatePath); err != nil {
		return err
	}
	if err := durable.ReplaceFile(certificatePath+nextSuffix, chain, 0o644); err != nil {
		return err
	}
	if err := durable.ReplaceFile(keyPath, key, 0o600); err != nil {
		return err
	}
	return os.Rename(certificatePath+nextSuffix, certificatePath)
}
