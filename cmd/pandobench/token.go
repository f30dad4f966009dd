package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"os"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.step.sm/crypto/jose"
)

// tokenIssuer signs JWTs that the deployment accepts, each good for one request.
type tokenIssuer struct {
	key  *ecdsa.PrivateKey
	file string // its JWK set
}

func newTokenIssuer(file string) (*tokenIssuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{
		Key: &key.PublicKey, KeyID: "bench", Algorithm: "ES256", Use: "sig",
	}}})
	if err != nil {
		return nil, err
	}
	return &tokenIssuer{key, file}, os.WriteFile(file, set, 0o600)
}

func (t *tokenIssuer) token() (string, error) {
	var id [16]byte
	rand.Read(id[:])
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "https://bench.example.org", "aud": "pando", "sub": "worker", "team": "bench",
		"iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(), "jti": hex.EncodeToString(id[:]),
	})
	token.Header["kid"] = "bench"
	return token.SignedString(t.key)
}
