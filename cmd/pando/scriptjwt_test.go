package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/rogpeppe/go-internal/testscript"
)

// makeJWT JWKS TOKEN NAME=VALUE... makes a key, and writes a key set with its public half and a
// token that it signed. What the claims do not say is that of an issuer https://issuer.example
// for the audience pando.
func makeJWT(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: jwt jwks-file token-file claim=value...")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	now := time.Now()
	claims := jwt.MapClaims{
		"iss": "https://issuer.example", "aud": "pando", "sub": "script",
		"iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(), "jti": rand.Text(),
	}
	for _, claim := range args[2:] {
		name, value, _ := strings.Cut(claim, "=")
		claims[name] = value
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = "script"
	text, err := token.SignedString(key)
	ts.Check(err)
	set, err := keySet(key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), set, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text+"\n"), 0o600))
}

// keySet is the public half of a P-256 key as a JWK set (RFC 7517, RFC 7518 section 6.2).
func keySet(key *ecdsa.PrivateKey) ([]byte, error) {
	point, err := key.PublicKey.Bytes() // 4 ‖ x ‖ y
	if err != nil {
		return nil, err
	}
	encode := base64.RawURLEncoding.EncodeToString
	return json.Marshal(map[string]any{"keys": []any{map[string]string{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "script",
		"x": encode(point[1:33]), "y": encode(point[33:]),
	}}})
}
