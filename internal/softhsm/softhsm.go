// Package softhsm makes throw-away PKCS #11 tokens for tests, with SoftHSM2.
package softhsm

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// PIN is that of the user of each token.
const PIN = "4711-forest"

// Label is that of each token.
const Label = "pando"

// modules are where distributions put the module.
func modules() []string {
	return []string{
		"/usr/lib/softhsm/libsofthsm2.so",
		"/usr/lib64/softhsm/libsofthsm2.so",
		"/usr/lib64/pkcs11/libsofthsm2.so",
		"/opt/homebrew/lib/softhsm/libsofthsm2.so",
		"/usr/local/lib/softhsm/libsofthsm2.so",
	}
}

// Token is an empty token in a directory of its own.
type Token struct {
	URI    string // of the token, as keys.uri wants it
	Module string
	Config string // file that SOFTHSM2_CONF names
}

// New makes a token that is gone when the test ends, and points this process, and those that it
// starts, to it. It fails the test when SoftHSM2 is not installed.
func New(t testing.TB) Token {
	t.Helper()
	module, err := findModule()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	token := Token{
		URI:    fmt.Sprintf("pkcs11:module-path=%s;token=%s", module, Label),
		Module: module, Config: filepath.Join(dir, "softhsm2.conf"),
	}
	objects := filepath.Join(dir, "tokens")
	if err := os.Mkdir(objects, 0o700); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n", objects)
	if err := os.WriteFile(token.Config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", token.Config)
	out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", Label, "--so-pin", "so-"+PIN, "--pin", PIN).CombinedOutput()
	if err != nil {
		t.Fatalf("softhsm2-util: %v\n%s", err, out)
	}
	return token
}

func findModule() (string, error) {
	if _, err := exec.LookPath("softhsm2-util"); err == nil {
		for _, module := range modules() {
			if _, err := os.Stat(module); err == nil {
				return module, nil
			}
		}
	}
	return "", fmt.Errorf("the tests of PKCS #11 need SoftHSM2: run scripts/ensure-softhsm, or install the package softhsm2")
}

// Keys counts the private keys in the token; each has a public one beside it.
func (k Token) Keys(t testing.TB) int {
	t.Helper()
	objects, err := filepath.Glob(filepath.Join(filepath.Dir(k.Config), "tokens", "*", "*.object"))
	if err != nil {
		t.Fatal(err)
	}
	const perKey, ofToken = 2, 1 // objects: each key has two, the token is one
	return (len(objects) - ofToken + 1) / perKey
}
