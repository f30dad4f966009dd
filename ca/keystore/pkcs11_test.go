//go:build pkcs11

package keystore

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/internal/softhsm"
)

func openSoftHSM(t testing.TB) (softhsm.Token, *Token) {
	t.Helper()
	made := softhsm.New(t)
	token, err := OpenToken(TokenConfig{URI: made.URI, PIN: softhsm.PIN})
	check(t, err)
	t.Cleanup(func() { check(t, token.Close()) })
	return made, token
}

func TestSoftHSMKeepsKeys(t *testing.T) {
	_, token := openSoftHSM(t)
	keys := WithToken(newSealer(t), token, true, &intents{})
	for _, alg := range ca.KeyAlgorithms() {
		t.Run(string(alg), func(t *testing.T) {
			created, ref, err := keys.Create(alg, "authority root of example.org")
			if alg == ca.Ed25519 {
				if !errors.Is(err, errUnsupportedKey) {
					t.Errorf("Ed25519: %v, want %v", err, errUnsupportedKey)
				}
				return
			}
			check(t, err)
			if got, err := ca.KeyAlgorithmOf(created.Public()); got != alg {
				t.Errorf("the key is of %q, %v", got, err)
			}
			opened, err := keys.Open(ref, "authority root of example.org")
			check(t, err)
			if !opened.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(created.Public()) {
				t.Error("another key was opened")
			}
			check(t, sign(opened))
			check(t, keys.Destroy(ref))
			check(t, keys.Destroy(ref))
			if _, err := keys.Open(ref, "authority root of example.org"); !errors.Is(err, ErrNoKey) {
				t.Errorf("a destroyed key: %v", err)
			}
			if err := sign(opened); err == nil {
				t.Error("a destroyed key signs")
			}
		})
	}
}

// TestSoftHSMLosesItsSessions closes the sessions of the process behind the token's back, as a
// module does that lost its connection.
func TestSoftHSMLosesItsSessions(t *testing.T) {
	made, token := openSoftHSM(t)
	signer, err := token.Create(ca.ECDSAP256, NewReference("a"))
	check(t, err)
	check(t, sign(signer))
	module := p11.New(made.Module)
	slots, err := module.GetSlotList(true)
	check(t, err)
	for range 3 {
		for _, slot := range slots {
			check(t, module.CloseAllSessions(slot))
		}
		err = sign(signer)
		var code p11.Error
		if !errors.As(err, &code) || !strings.Contains(err.Error(), "sign in token") {
			t.Fatalf("a lost session: %v", err)
		}
		check(t, token.Check())
		check(t, sign(signer))
	}
}

func TestSoftHSMRefuses(t *testing.T) {
	made := softhsm.New(t)
	for name, tt := range map[string]struct {
		cfg  TokenConfig
		want string
	}{
		"a wrong PIN":      {TokenConfig{made.URI, "0000"}, ErrPIN.Error()},
		"no PIN":           {TokenConfig{made.URI, ""}, "the PIN is missing"},
		"a missing module": {TokenConfig{strings.Replace(made.URI, ".so", ".none", 1), softhsm.PIN}, "PKCS #11 module: stat"},
		"no module": {
			TokenConfig{strings.Replace(made.URI, made.Module, made.Config, 1), softhsm.PIN}, "failed to open module",
		},
		"a missing token": {TokenConfig{made.URI + "x", softhsm.PIN}, `token "pandox": error initializing PKCS#11: could not find PKCS#11 token`},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := OpenToken(tt.cfg)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), softhsm.PIN) {
				t.Errorf("OpenToken = %v, %v, want %q", token, err, tt.want)
			}
		})
	}
	t.Run("a directory as module", func(t *testing.T) {
		uri := strings.Replace(made.URI, made.Module, filepath.Dir(made.Module), 1)
		if _, err := OpenToken(TokenConfig{uri, softhsm.PIN}); err == nil {
			t.Error("a directory was loaded")
		}
	})
}

func BenchmarkSign(b *testing.B) {
	_, token := openSoftHSM(b)
	keys := map[string]*Keys{
		"sealed":  New(newSealer(b)),
		"softhsm": WithToken(newSealer(b), token, true, &intents{}),
	}
	for _, kind := range []string{"sealed", "softhsm"} {
		for _, alg := range []ca.KeyAlgorithm{ca.ECDSAP256, ca.ECDSAP384} {
			b.Run(kind+"/"+string(alg), func(b *testing.B) {
				signer, _, err := keys[kind].Create(alg, "a")
				check(b, err)
				digest := sha256.Sum256([]byte("message"))
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if _, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
							b.Error(err)
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "signatures/s")
			})
		}
	}
}
