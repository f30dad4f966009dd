package main

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/pando-ca/pando/ca/catest"
)

func TestBundleHoldsRootsOfOneTrustDomain(t *testing.T) {
	pki, other := catest.New(t, catest.Options{}), catest.New(t, catest.Options{TrustDomain: "other.org"})
	second := catest.New(t, catest.Options{})
	leaf := chainPEM(pki.Issue(t, "spiffe://example.org/web", catest.Leaf{}).Certificate[:1])
	for name, tc := range map[string]struct {
		text []byte
		want string // in the error; empty: good
	}{
		"one root":                   {rootsPEM(pki), ""},
		"two roots of one domain":    {slices.Concat(rootsPEM(pki), rootsPEM(second)), ""},
		"roots of two trust domains": {slices.Concat(rootsPEM(pki), rootsPEM(other)), "mixes trust domains"},
		"a leaf":                     {leaf, "is not a CA certificate"},
		"nothing":                    {nil, "holds no certificate"},
		"text":                       {[]byte("hello"), "not a PEM certificate"},
		"text after the root":        {append(rootsPEM(pki), "hello"...), "not a PEM certificate"},
		"a key":                      {[]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "not a PEM certificate"},
		"a broken certificate":       {[]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "x509"},
	} {
		t.Run(name, func(t *testing.T) {
			trust, err := parseBundle(tc.text)
			switch {
			case tc.want == "" && err != nil:
				t.Fatal(err)
			case tc.want == "" && string(trust.pem()) != string(tc.text):
				t.Error("the bundle is not written as it was read")
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("error %v lacks %q", err, tc.want)
			}
		})
	}
}

func TestFingerprintLeavesOneRoot(t *testing.T) {
	pki, second := catest.New(t, catest.Options{}), catest.New(t, catest.Options{})
	trust, err := parseBundle(slices.Concat(rootsPEM(pki), rootsPEM(second)))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(trust.roots[1].Raw)
	plain := hex.EncodeToString(sum[:])
	for _, text := range []string{plain, strings.ToUpper(plain), "sha256:" + plain, fingerprintText(trust.roots[1])} {
		pin, err := parseFingerprint(text)
		if err != nil {
			t.Fatal(err)
		}
		only, err := trust.only(pin)
		if err != nil {
			t.Fatal(err)
		}
		if len(only.roots) != 1 || only.roots[0] != trust.roots[1] || only.domain != trust.domain {
			t.Errorf("%s: %d roots are left", text, len(only.roots))
		}
	}
	if _, err := trust.only(rootFingerprint{1}); err == nil {
		t.Error("an unknown fingerprint leaves a root")
	}
	for _, text := range []string{"", plain[:62], plain + "00", strings.Repeat("g", 64)} {
		if _, err := parseFingerprint(text); exitCode(err) != exitUsage {
			t.Errorf("%q: %v", text, err)
		}
	}
}
