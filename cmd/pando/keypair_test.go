package main

import (
	"crypto/ecdsa"
	"os"
	"path/filepath"
	"testing"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
)

func TestKeysAreOfTheKindAskedFor(t *testing.T) {
	for _, algorithm := range ca.KeyAlgorithms() {
		t.Run(string(algorithm), func(t *testing.T) {
			key, err := newKey(algorithm)
			if err != nil {
				t.Fatal(err)
			}
			encoded, err := encodeKey(key)
			if err != nil {
				t.Fatal(err)
			}
			again, err := decodeKey(encoded)
			if err != nil {
				t.Fatal(err)
			}
			der, err := newCSR(again)
			if err != nil {
				t.Fatal(err)
			}
			csr, err := ca.ParseCSR(der)
			if err != nil {
				t.Fatal(err)
			}
			if csr.KeyAlgorithm != algorithm || !csr.ID.IsZero() || len(csr.DNSNames) > 0 {
				t.Errorf("the CSR is %+v", csr)
			}
		})
	}
	if _, err := newKey("dsa-1024"); err == nil {
		t.Error("a key of an unknown kind was made")
	}
}

// An administrator must be able to go on wherever a renewal was interrupted.
func TestKeyPairSurvivesAnInterruptedRenewal(t *testing.T) {
	pki := catest.New(t, catest.Options{})
	const id = "spiffe://example.org/pando/admin/ann"
	before, after := pki.Issue(t, id, catest.Leaf{}), pki.Issue(t, id, catest.Leaf{})
	newKeyPEM, err := encodeKey(after.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	newChain := chainPEM(after.Certificate)
	for name, tc := range map[string]struct {
		steps func(t *testing.T, certificate, key string)
		want  []byte // the leaf in force
	}{
		"nothing happened": {func(*testing.T, string, string) {}, before.Certificate[0]},
		"the next certificate is written": {func(t *testing.T, certificate, _ string) {
			writeFile(t, filepath.Dir(certificate), filepath.Base(certificate)+nextSuffix, newChain)
		}, before.Certificate[0]},
		"and the key is replaced": {func(t *testing.T, certificate, key string) {
			writeFile(t, filepath.Dir(certificate), filepath.Base(certificate)+nextSuffix, newChain)
			writeFile(t, filepath.Dir(key), filepath.Base(key), newKeyPEM)
		}, after.Certificate[0]},
		"and the certificate is": {func(t *testing.T, certificate, key string) {
			if err := replaceKeyPair(certificate, key, newChain, newKeyPEM); err != nil {
				t.Fatal(err)
			}
		}, after.Certificate[0]},
	} {
		t.Run(name, func(t *testing.T) {
			certificate, key := writePair(t, t.TempDir(), "admin", before)
			tc.steps(t, certificate, key)
			for range 2 { // what was finished stays finished
				pair, err := loadKeyPair(certificate, key)
				if err != nil {
					t.Fatal(err)
				}
				if string(pair.Leaf.Raw) != string(tc.want) {
					t.Error("the wrong certificate is in force")
				}
			}
		})
	}
}

func TestKeyPairInOneFile(t *testing.T) {
	pki := catest.New(t, catest.Options{})
	pair := pki.Issue(t, "spiffe://example.org/pando/admin/ann", catest.Leaf{})
	key, err := encodeKey(pair.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "admin.pem")
	if err := replaceKeyPair(path, path, chainPEM(pair.Certificate), key); err != nil {
		t.Fatal(err)
	}
	if _, err := loadKeyPair(path, path); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}

func TestKeyPairThatDoesNotMatch(t *testing.T) {
	pki := catest.New(t, catest.Options{})
	dir := t.TempDir()
	certificate, _ := writePair(t, dir, "a", pki.Issue(t, "spiffe://example.org/a", catest.Leaf{}))
	_, key := writePair(t, dir, "b", pki.Issue(t, "spiffe://example.org/b", catest.Leaf{}))
	if _, err := loadKeyPair(certificate, key); err == nil {
		t.Error("a certificate was taken with another one's key")
	}
}
