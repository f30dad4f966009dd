package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
)

// KeyAlgorithm names an algorithm and size of public key. These are all that Pando signs
// for; a profile may allow fewer.
type KeyAlgorithm string

// The key algorithms. RSA keys have exactly this many bits and the exponent 65537.
const (
	ECDSAP256 KeyAlgorithm = "ecdsa-p256"
	ECDSAP384 KeyAlgorithm = "ecdsa-p384"
	Ed25519   KeyAlgorithm = "ed25519"
	RSA2048   KeyAlgorithm = "rsa-2048"
	RSA3072   KeyAlgorithm = "rsa-3072"
	RSA4096   KeyAlgorithm = "rsa-4096"
)

// KeyAlgorithms returns all key algorithms, in the order of their documentation.
func KeyAlgorithms() []KeyAlgorithm {
	return []KeyAlgorithm{ECDSAP256, ECDSAP384, Ed25519, RSA2048, RSA3072, RSA4096}
}

// rsaExponent is the one public exponent that is accepted: smaller ones have a history of
// attacks, larger ones only cost time.
const rsaExponent = 65537

// KeyAlgorithmOf returns the algorithm of pub, or an error that says why a certificate for
// such a key is never signed.
func KeyAlgorithmOf(pub crypto.PublicKey) (KeyAlgorithm, error) {
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		switch pub.Curve {
		case nil:
			return "", errors.New("key has no elliptic curve")
		case elliptic.P256():
			return ECDSAP256, nil
		case elliptic.P384():
			return ECDSAP384, nil
		}
		return "", fmt.Errorf("elliptic curve %s is not supported; use P-256 or P-384", pub.Curve.Params().Name)
	case ed25519.PublicKey:
		if len(pub) != ed25519.PublicKeySize {
			return "", fmt.Errorf("Ed25519 key has %d octets, want %d", len(pub), ed25519.PublicKeySize)
		}
		return Ed25519, nil
	case *rsa.PublicKey:
		return rsaAlgorithm(pub)
	}
	return "", fmt.Errorf("key type %T is not supported", pub)
}

func rsaAlgorithm(pub *rsa.PublicKey) (KeyAlgorithm, error) {
	if pub.N == nil {
		return "", errors.New("RSA key has no modulus")
	}
	if pub.E != rsaExponent {
		return "", fmt.Errorf("RSA exponent is %d, want %d", pub.E, rsaExponent)
	}
	switch bits := pub.N.BitLen(); bits {
	case 2048:
		return RSA2048, nil
	case 3072:
		return RSA3072, nil
	case 4096:
		return RSA4096, nil
	default:
		return "", fmt.Errorf("RSA key has %d bits; use 2048, 3072 or 4096", bits)
	}
}

// KeyHash identifies a public key: the SHA-256 of its DER SubjectPublicKeyInfo
// (RFC 5280, section 4.1.2.7) in canonical encoding.
type KeyHash [sha256.Size]byte

// HashPublicKey returns the hash of pub.
func HashPublicKey(pub crypto.PublicKey) (KeyHash, error) {
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return KeyHash{}, fmt.Errorf("hash public key: %w", err)
	}
	return sha256.Sum256(spki), nil
}
