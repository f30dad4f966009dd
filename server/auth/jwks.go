package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/MicahParks/jwkset"
)

const (
	// maxKeys bounds a JWK Set. Issuers publish two to ten.
	maxKeys = 100

	minRSABits = 2048 // RFC 7518, section 3.3
	maxRSABits = 8192 // a verification with more costs too much

	// minRSAExponent is what everybody uses; below it, padding has been forged.
	minRSAExponent = 65537
)

// publicKey is a key that signatures can be verified with.
type publicKey struct {
	id     string
	alg    string // the only algorithm that it is for; empty: any that fits
	public crypto.PublicKey
}

// parseKeySet reads a JWK Set (RFC 7517, section 5). One private or symmetric key spoils the
// set: whoever can read it can sign. Keys for other uses and of unknown kinds are passed over,
// as section 5 asks for, but at least one must be left.
func parseKeySet(data []byte) ([]publicKey, error) {
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("parse JWK set: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("parse JWK set: %d keys exceed %d", len(set.Keys), maxKeys)
	}
	var keys []publicKey
	for i := range set.Keys {
		k := &set.Keys[i]
		if secret(k) {
			return nil, fmt.Errorf("parse JWK set: key %d is private or symmetric: it is known to everybody, replace it", i)
		}
		if key, ok := parseKey(k); ok {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("parse JWK set: it holds no key that a signature can be verified with")
	}
	return keys, nil
}

// secret reports whether a JWK holds what must not be published.
func secret(k *jwkset.JWKMarshal) bool {
	return k.KTY == jwkset.KtyOct || k.K != "" || k.D != "" || k.P != "" || k.Q != "" ||
		k.DP != "" || k.DQ != "" || k.QI != "" || len(k.OTH) > 0
}

func parseKey(k *jwkset.JWKMarshal) (publicKey, bool) {
	if k.USE != "" && k.USE != jwkset.UseSig || !mayVerify(k.KEYOPS) {
		return publicKey{}, false
	}
	// The key itself is what counts; certificates beside it vouch for nothing here, and must
	// never be a reason to fetch something.
	k.X5U, k.X5C, k.X5T, k.X5TS256 = "", nil, "", ""
	parsed, err := jwkset.NewJWKFromMarshal(*k, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil || !sound(parsed.Key()) {
		return publicKey{}, false
	}
	return publicKey{id: k.KID, alg: string(k.ALG), public: parsed.Key()}, true
}

// mayVerify reports whether key_ops (RFC 7517, section 4.3) are absent or allow verification.
func mayVerify(ops []jwkset.KEYOPS) bool {
	for _, op := range ops {
		if op == jwkset.KeyOpsVerify {
			return true
		}
	}
	return len(ops) == 0
}

// sound reports whether a key is of a kind and a strength that we accept. The parser has
// checked that points are on their curves.
func sound(key any) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		bits := k.N.BitLen()
		return bits >= minRSABits && bits <= maxRSABits && k.E >= minRSAExponent && k.E%2 == 1
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}
