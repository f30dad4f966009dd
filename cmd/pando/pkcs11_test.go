//go:build pkcs11

package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/internal/softhsm"
	"github.com/pando-ca/pando/store"
)

// newTokenDeployment makes a CA whose keys are in a SoftHSM token.
func newTokenDeployment(t *testing.T) (*deployment, softhsm.Token) {
	t.Helper()
	token := softhsm.New(t)
	t.Setenv(pinVariable, softhsm.PIN)
	return newDeployment(t, "", "--key-uri", token.URI), token
}

// generation reads the current generation. No server may be running.
func (d *deployment) generation(t *testing.T) *store.Generation {
	t.Helper()
	cfg, err := configSource{data: d.data}.load()
	if err != nil {
		t.Fatal(err)
	}
	db, err := openDatabase(t.Context(), &cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	gen, err := db.Generation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return gen
}

// TestTokenThroughRotations has roots and intermediates replaced in a token. Keys of retired
// authorities are destroyed there, and one that a process left behind when it died.
func TestTokenThroughRotations(t *testing.T) {
	for _, setting := range rotationEnv() {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
	}
	d, token := newTokenDeployment(t)
	if got := token.Keys(t); got != 2 {
		t.Errorf("%d keys after init, want 2", got)
	}
	p := d.serve(t)
	deadline := time.Now().Add(3 * startLimit)
	// Two roots that retired, with their intermediates: at least four keys were destroyed.
	for strings.Count(p.log.String(), `"step":"retire"`) < 5 {
		if time.Now().After(deadline) {
			t.Fatalf("no rotation: %s", p.log)
		}
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(2 * time.Second) // two sweeps
	if code := p.end(t, syscall.SIGTERM); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	gen := d.generation(t)
	held := 0
	for _, a := range gen.Authorities {
		switch {
		case len(a.Key) == 0:
		case !store.KeyInToken(a.Key):
			t.Errorf("authority %s has a key outside of the token", a.ID)
		default:
			held++
		}
	}
	// A key that was being made when the server was told to stop is known by its intent.
	d.withVault(t, func(_ *vault, db database) error {
		intents, err := db.DoomKeyIntents(t.Context(), time.Now().Add(time.Hour))
		if got := token.Keys(t); got != held+len(intents) || len(intents) > 1 {
			t.Errorf("%d keys in the token, %d authorities hold one, and there are %d intents", got, held, len(intents))
		}
		return err
	})
	for _, secret := range []string{softhsm.PIN, "pin-value"} {
		if strings.Contains(p.log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

// TestKeysMoveBetweenTokenAndDatabase changes the backend under a CA that is there: sealed keys
// and those in the token work side by side.
func TestKeysMoveBetweenTokenAndDatabase(t *testing.T) {
	for _, setting := range rotationEnv() {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
	}
	d, token := newTokenDeployment(t)
	d.env = append(d.env, "PANDO_KEYS_BACKEND=sealed", "PANDO_LIFETIMES_INTERMEDIATE=24s", "PANDO_ROTATION_INTERMEDIATE=4s")
	p := d.serve(t)
	deadline := time.Now().Add(startLimit)
	for !strings.Contains(p.log.String(), `"step":"rotate-intermediate"`) {
		if time.Now().After(deadline) {
			t.Fatalf("no rotation: %s", p.log)
		}
		time.Sleep(50 * time.Millisecond)
	}
	p.end(t, syscall.SIGTERM)
	kinds := make(map[bool]int)
	for _, a := range d.generation(t).Authorities {
		if len(a.Key) > 0 {
			kinds[store.KeyInToken(a.Key)]++
		}
	}
	if kinds[true] == 0 || kinds[false] == 0 || token.Keys(t) < kinds[true] {
		t.Errorf("%d authorities with a key in the token, %d with a sealed one", kinds[true], kinds[false])
	}
	d.serve(t)
}

func TestServeNamesWhatIsWrongWithTheToken(t *testing.T) {
	for name, test := range map[string]struct {
		tamper func(t *testing.T, d *deployment, token softhsm.Token)
		env    []string
		want   string
	}{
		"a wrong PIN": {env: []string{pinVariable + "=hidden"}, want: "keys: open token: token \"pando\": the token does not accept the PIN"},
		"no PIN":      {env: []string{pinVariable + "="}, want: "keys: the PIN of the token is missing: there is neither PANDO_PKCS11_PIN nor keys.pin_file"},
		"no file with the PIN": {
			env: []string{pinVariable + "=", "PANDO_KEYS_PIN_FILE=/nonexistent"}, want: "keys: read PIN: open /nonexistent: no such file or directory",
		},
		"a missing module": {
			env: []string{"PANDO_KEYS_URI=pkcs11:module-path=/nonexistent.so;token=pando"}, want: "keys: open token: PKCS #11 module: stat /nonexistent.so: no such file or directory",
		},
		"a missing token": {
			tamper: func(t *testing.T, _ *deployment, token softhsm.Token) {
				t.Setenv("PANDO_KEYS_URI", token.URI+"-other")
			},
			want: `keys: open token: token "pando-other": error initializing PKCS#11: could not find PKCS#11 token`,
		},
		"a PIN in the URI": {
			env: []string{"PANDO_KEYS_URI=pkcs11:module-path=/m.so;token=pando?pin-value=hidden"}, want: "keys.uri: holds pin-value",
		},
		"no token configured": {
			env: []string{"PANDO_KEYS_BACKEND=sealed", "PANDO_KEYS_URI="}, want: "open key: it is in a token, and keys.uri names none",
		},
		"a key that is gone": {
			tamper: func(t *testing.T, d *deployment, _ softhsm.Token) {
				key := d.generation(t).Authorities[1].Key
				d.withVault(t, func(v *vault, _ database) error { return v.keys.Destroy(key) })
			},
			want: "the token holds no such key: pkcs11:id=",
		},
		"a key that is not the issuer's": {
			tamper: func(t *testing.T, d *deployment, _ softhsm.Token) {
				var ref []byte
				d.withVault(t, func(v *vault, _ database) (err error) {
					_, ref, err = v.keys.Create(ca.ECDSAP256, "authority intermediate of example.org")
					return err
				})
				d.changeGeneration(t, func(g *store.Generation) { g.Authorities[1].Key = ref })
			},
			want: "key and certificate do not match",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, token := newTokenDeployment(t)
			if test.tamper != nil {
				test.tamper(t, d, token)
			}
			code, errs := d.refusedServe(t, test.env...)
			if code != exitFailed || !strings.Contains(errs, test.want) || strings.Count(errs, "\n") != 1 || strings.Contains(errs, "hidden") {
				t.Errorf("exit code %d: %q, want %q", code, errs, test.want)
			}
		})
	}
}

// withVault opens the database and the token of a deployment for f.
func (d *deployment) withVault(t *testing.T, f func(v *vault, db database) error) {
	t.Helper()
	cfg, err := configSource{data: d.data}.load()
	if err != nil {
		t.Fatal(err)
	}
	db, err := openDatabase(t.Context(), &cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	v, err := openVault("", cfg.SealKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.openToken(&cfg.Keys, db); err != nil {
		t.Fatal(err)
	}
	defer v.close()
	if err := f(v, db); err != nil {
		t.Fatal(err)
	}
}

// TestLostSessionMakesAReplicaUnready takes the token away from a running server, and gives it
// back.
func TestLostSessionMakesAReplicaUnready(t *testing.T) {
	d, token := newTokenDeployment(t)
	p := d.serve(t)
	client := d.client(t, true)
	if _, err := client.sign(t.Context()); err != nil {
		t.Fatal(err)
	}
	objects := filepath.Join(filepath.Dir(token.Config), "tokens")
	if err := os.Rename(objects, objects+".away"); err != nil {
		t.Fatal(err)
	}
	await := func(want int) (r report) {
		t.Helper()
		for deadline := time.Now().Add(startLimit); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			status, r := d.ready()
			if status == want {
				return r
			}
		}
		t.Fatalf("readiness is not %d: %s", want, p.log)
		return r
	}
	if r := await(http.StatusServiceUnavailable); r.Checks["keys"].OK && r.Checks["signer"].OK {
		t.Errorf("not ready for another reason: %v", r.Checks)
	}
	if err := os.Rename(objects+".away", objects); err != nil {
		t.Fatal(err)
	}
	await(http.StatusOK)
	if _, err := client.sign(t.Context()); err != nil {
		t.Errorf("once the token is back: %v", err)
	}
}

// TestTokenOfARootThatIsKeptOffline makes a root in a token, and a CA whose intermediate is in one
// too, sealed nowhere.
func TestTokenOfARootThatIsKeptOffline(t *testing.T) {
	token := softhsm.New(t)
	t.Setenv(pinVariable, softhsm.PIN)
	t.Setenv("PANDO_CONTEXT_FILE", filepath.Join(t.TempDir(), "contexts.yaml"))
	dir := t.TempDir()
	config, root, data := filepath.Join(dir, "ceremony.yaml"), filepath.Join(dir, "root"), filepath.Join(dir, "ca")
	writeTestFile(t, config, `trust_domain: example.org
root: {not_before: 2026-01-01T00:00:00Z, not_after: 2036-01-01T00:00:00Z, token: {uri: "`+token.URI+`"}}
intermediate: {not_before: 2026-01-01T00:00:00Z, not_after: 2035-01-01T00:00:00Z}
`)
	initArgs := []string{"init", "--trust-domain", "example.org", "--data", data, "--key-uri", token.URI}
	for _, args := range [][]string{
		{"ceremony", "root", "--config", config, "--out", root},
		append(initArgs, "--offline-root"),
		{"ceremony", "sign", "--config", config, "--out", root, "--csr", filepath.Join(data, requestName)},
		append(initArgs, "--import", filepath.Join(root, "intermediate.pem")),
		{"config", "--data", data},
	} {
		code, out, errs := runPando(t, args...)
		if code != exitOK || strings.Contains(out+errs, softhsm.PIN) {
			t.Fatalf("pando %s: exit code %d: %s%s", strings.Join(args, " "), code, out, errs)
		}
	}
	if got := token.Keys(t); got != 2 {
		t.Errorf("%d keys in the token, want 2", got)
	}
	gen := (&deployment{data: data}).generation(t)
	if len(gen.Authorities[0].Key) > 0 || !store.KeyInToken(gen.Authorities[1].Key) {
		t.Errorf("keys %q and %q", gen.Authorities[0].Key, gen.Authorities[1].Key)
	}
	// What was requested is held, and nothing else is known: nothing is ever destroyed for it.
	(&deployment{data: data}).withVault(t, func(_ *vault, db database) error {
		refs, err := db.DoomKeyIntents(t.Context(), time.Now().Add(time.Hour))
		if len(refs) > 0 {
			t.Errorf("intents %q", refs)
		}
		return err
	})
}
