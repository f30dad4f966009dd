package auth

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/pando-ca/pando/ca/policy"
)

// FuzzBearer shows any text as a bearer credential: there is never a panic, and never a caller
// by JWT without a signature that a second, independent verification accepts.
func FuzzBearer(f *testing.F) {
	w := newWorld(f, nil)
	good := w.token(f, nil)
	for _, seed := range []string{
		"", "x", "...", "e30.e30.", goodToken, "pjt_", good, good + ".", good[:len(good)-1],
		w.token(f, object{"aud": []any{"pando", "x"}, "a": object{"b": []any{1, 2.5, nil, true}}}),
		sign(f, w.key, with(w.header, object{"kid": "k2"}), w.claims),
		sign(f, w.key, with(w.header, object{"crit": []any{"b64"}}), w.claims),
		"eyJhbGciOiJub25lIn0." + strings.Split(good, ".")[1] + ".",
	} {
		f.Add(seed)
	}
	public := w.key.Public().(*ecdsa.PublicKey)
	f.Fuzz(func(t *testing.T, text string) {
		caller, err := w.Authenticate(t.Context(), Credentials{Bearer: text}, w.now)
		if err != nil {
			if caller.Method != "" || caller.Subject != "" {
				t.Errorf("a refusal came with the caller %+v", caller)
			}
			return
		}
		if caller.Method != policy.MethodJWT || !verifiedES256(public, text) {
			t.Errorf("%q became %+v", text, caller)
		}
	})
}

// verifiedES256 verifies a JWS in compact form with nothing but the standard library.
func verifiedES256(public *ecdsa.PublicKey, text string) bool {
	dot := strings.LastIndexByte(text, '.')
	if dot < 0 {
		return false
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(text[dot+1:])
	if err != nil || len(signature) != 64 {
		return false
	}
	digest := sha256.Sum256([]byte(text[:dot]))
	return ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
}

// FuzzClaims signs any text as claims: there is never a panic, and a caller keeps to all that
// the configuration asks for.
func FuzzClaims(f *testing.F) {
	w := newWorld(f, func(c *IssuerConfig) { c.RoleClaim = "/r/r" })
	good := string(encode(f, w.claims))
	for _, seed := range []string{
		good, "{}", "null", "[]", "", good + good, strings.Replace(good, "{", `{"sub":1,`, 1),
		strings.Replace(good, "{", `{"r":{"r":"admin"},`, 1), strings.Replace(good, `"pando"`, `["pando"]`, 1),
		strings.Replace(good, "workload-7", `\ud800`, 1), strings.Replace(good, `"exp":`, `"exp":1e3,"x":`, 1),
	} {
		f.Add([]byte(seed))
	}
	header := encode(f, w.header)
	f.Fuzz(func(t *testing.T, claims []byte) {
		caller, err := w.Authenticate(t.Context(), Credentials{Bearer: signRaw(t, w.key, "ES256", header, claims)}, w.now)
		if err != nil {
			return
		}
		subject, ok := strings.CutPrefix(caller.Subject, "ci ")
		left := caller.ExpiresAt.Sub(w.now)
		switch {
		case !ok || subject == "" || subject != caller.Claims["sub"] || !utf8.ValidString(subject) || strings.ContainsAny(subject, "\x00\r\n\x1b"):
			t.Errorf("subject %q", caller.Subject)
		case caller.TokenID == "" || caller.TokenID != caller.Claims["jti"]:
			t.Errorf("token ID %q", caller.TokenID)
		case caller.Claims["iss"] != w.oidc.server.URL:
			t.Errorf("iss %v", caller.Claims["iss"])
		case left <= time.Minute || left > 24*time.Hour+3*time.Minute:
			t.Errorf("%s left", left)
		case caller.Role != policy.RoleNone && !caller.Role.Valid():
			t.Errorf("role %q", caller.Role)
		}
	})
}
