package client

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
)

// KeyAlgorithm is a kind of key. The zero value means [ECDSAP256].
type KeyAlgorithm string

// The algorithms that a [Source] makes keys of. RSA is missing on purpose: making such a
// key takes up to seconds, and a new one is made for every certificate.
const (
	ECDSAP256 KeyAlgorithm = "ecdsa-p256"
	ECDSAP384 KeyAlgorithm = "ecdsa-p384"
	Ed25519   KeyAlgorithm = "ed25519"
)

func (a KeyAlgorithm) valid() bool {
	switch a {
	case "", ECDSAP256, ECDSAP384, Ed25519:
		return true
	}
	return false
}

// newKey makes a key. The algorithm is one that valid accepts.
func (a KeyAlgorithm) newKey() (crypto.Signer, error) {
	switch a {
	case ECDSAP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case Ed25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// newCSR returns a PKCS #10 request (RFC 2986) in PEM that proves possession of key and asks
// for nothing: which names the certificate gets follows from the caller's authorisation.
func newCSR(key crypto.Signer) (string, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return "", fmt.Errorf("make CSR: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), nil
}
