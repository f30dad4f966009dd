package auth

import (
	"crypto"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/policy"
)

// kubernetesClaims are those of a service-account token.
func kubernetesClaims(iss string, now time.Time) object {
	return object{
		"aud": []any{"pando"}, "iss": iss, "sub": "system:serviceaccount:shop:checkout", "jti": "4f7f4a0e-7f10-4f6e-8d9c-2f6c1d6d7d11",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"kubernetes.io": object{
			"namespace":      "shop",
			"node":           object{"name": "node-7", "uid": "d1a6a0f2-1b1e-4f5d-8a54-3b6f6d1e2c3b"},
			"pod":            object{"name": "checkout-5d9c7b9f6d-x2x7q", "uid": "5a3d6a8e-63d8-4f0e-9d6e-0b9c7e6a5d4c"},
			"serviceaccount": object{"name": "checkout", "uid": "0e9d8c7b-6a5f-4e3d-2c1b-0a9f8e7d6c5b"},
		},
	}
}

// BenchmarkJWT authenticates a service-account token; "bare" is the one signature
// verification in it, which nothing can be cheaper than.
func BenchmarkJWT(b *testing.B) {
	for alg, kind := range map[string]ca.KeyAlgorithm{"RS256": ca.RSA2048, "ES256": ca.ECDSAP256} {
		w := newWorld(b, nil)
		key := catest.Key(b, kind)
		w.oidc.serve(body(keySet(b, map[string]crypto.Signer{"k1": key})))
		text := sign(b, key, object{"alg": alg, "kid": "k1"}, kubernetesClaims(w.oidc.server.URL, w.now))
		credentials := Credentials{Bearer: text, Address: "192.0.2.1"}
		if _, err := w.Authenticate(b.Context(), credentials, w.now); err != nil {
			b.Fatal(err)
		}
		b.Run(alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w.Authenticate(b.Context(), credentials, w.now)
			}
		})
		b.Run(alg+"/bare", func(b *testing.B) {
			token, parts, err := jwt.NewParser().ParseUnverified(text, jwt.MapClaims{})
			if err != nil {
				b.Fatal(err)
			}
			signed := parts[0] + "." + parts[1]
			for b.Loop() {
				token.Method.Verify(signed, token.Signature, key.Public())
			}
		})
	}
}

func BenchmarkJoinToken(b *testing.B) {
	w := newWorld(b, nil)
	w.tokens.add(goodToken, policy.JoinToken{ID: "tok_1", ExpiresAt: w.now.Add(time.Hour)})
	b.ReportAllocs()
	for b.Loop() {
		w.Authenticate(b.Context(), Credentials{Bearer: goodToken, Address: "192.0.2.1"}, w.now)
	}
}
