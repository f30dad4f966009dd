//go:build !pkcs11

package main

import (
	"strings"
	"testing"
)

// TestServeSaysThatItWasBuiltWithoutPKCS11: in a token, this binary can do nothing.
func TestServeSaysThatItWasBuiltWithoutPKCS11(t *testing.T) {
	d := newDeployment(t, "")
	code, errs := d.refusedServe(t, "PANDO_KEYS_BACKEND=pkcs11", "PANDO_KEYS_URI=pkcs11:module-path=/m.so;token=pando", pinVariable+"=hidden")
	want := "keys: open token: this pando was built without PKCS #11; it takes CGO_ENABLED=1 go build -tags pkcs11\n"
	if code != exitFailed || !strings.HasSuffix(errs, want) || strings.Count(errs, "\n") != 1 {
		t.Errorf("exit code %d: %q, want %q", code, errs, want)
	}
}
