package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
)

// algorithms lists the signature algorithms that an issuer can be configured with (RFC 7518,
// section 3.1; RFC 8037, section 3.1). There is no "none" and nothing symmetric: whoever could
// verify could also sign.
func algorithms() []string {
	return []string{
		"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
	}
}

// defaultAlgorithms are those that OIDC issuers use in earnest.
func defaultAlgorithms() []string { return []string{"RS256", "ES256", "ES384", "EdDSA"} }

// fits reports whether a key is one that the algorithm is defined for. golang-jwt looks at the
// key's type but not at the curve, and so verifies ES384 with a P-256 key.
func fits(alg string, key crypto.PublicKey) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return alg[:2] == "RS" || alg[:2] == "PS"
	case *ecdsa.PublicKey:
		switch alg {
		case "ES256":
			return k.Curve == elliptic.P256()
		case "ES384":
			return k.Curve == elliptic.P384()
		case "ES512":
			return k.Curve == elliptic.P521()
		}
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}
