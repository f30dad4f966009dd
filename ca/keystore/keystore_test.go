package keystore

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pando-ca/pando/ca"
)

func newSealer(t testing.TB) *Sealer {
	t.Helper()
	key, err := GenerateSealKey()
	check(t, err)
	s, err := NewSealer(key)
	check(t, err)
	return s
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSealOpens(t *testing.T) {
	s := newSealer(t)
	for name, secret := range map[string][]byte{"a secret": []byte("secret"), "nothing": nil} {
		t.Run(name, func(t *testing.T) {
			blob, err := s.Seal(secret, []byte("place"))
			check(t, err)
			got, err := s.Open(blob, []byte("place"))
			if err != nil || !bytes.Equal(got, secret) {
				t.Errorf("Open = %q, %v, want %q", got, err, secret)
			}
			if len(secret) > 0 && bytes.Contains(blob, secret) {
				t.Error("the secret stands in the blob")
			}
			again, err := s.Seal(secret, []byte("place"))
			if err != nil || bytes.Equal(blob, again) {
				t.Errorf("sealing twice gave the same octets, or %v", err)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	s := newSealer(t)
	blob, err := s.Seal([]byte("secret"), []byte("place"))
	check(t, err)
	for name, tt := range map[string]struct {
		sealer *Sealer
		blob   []byte
		place  string
		is     error
	}{
		"another seal key":   {newSealer(t), blob, "place", ErrOpen},
		"another place":      {s, blob, "other", ErrOpen},
		"no place":           {s, blob, "", ErrOpen},
		"one octet less":     {s, blob[:len(blob)-1], "place", ErrOpen},
		"one octet more":     {s, append(bytes.Clone(blob), 0), "place", ErrOpen},
		"another version":    {s, append([]byte{2}, blob[1:]...), "place", nil},
		"nothing":            {s, nil, "place", nil},
		"fewer than the tag": {s, blob[:overhead-1], "place", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tt.sealer.Open(tt.blob, []byte(tt.place))
			if err == nil || got != nil || tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("Open = %q, %v", got, err)
			}
		})
	}
	for i := range blob {
		altered := bytes.Clone(blob)
		altered[i] ^= 1
		if got, err := s.Open(altered, []byte("place")); err == nil {
			t.Errorf("with octet %d altered: %q", i, got)
		}
	}
}

func TestNewSealerRefusesTheZeroKey(t *testing.T) {
	if _, err := NewSealer([sealKeySize]byte{}); err == nil {
		t.Error("a key that nobody drew is accepted")
	}
}

func TestKeysOpenWhatTheyCreate(t *testing.T) {
	keys := New(newSealer(t))
	for _, alg := range ca.KeyAlgorithms() {
		t.Run(string(alg), func(t *testing.T) {
			created, ref, err := keys.Create(alg, "authority 1")
			check(t, err)
			if got, err := ca.KeyAlgorithmOf(created.Public()); got != alg {
				t.Errorf("the key is of %q, %v", got, err)
			}
			opened, err := keys.Open(ref, "authority 1")
			check(t, err)
			type equal interface{ Equal(crypto.PublicKey) bool }
			if !created.Public().(equal).Equal(opened.Public()) {
				t.Error("another key was opened")
			}
			digest, opts := sha256.Sum256([]byte("message")), crypto.SignerOpts(crypto.SHA256)
			if alg == ca.Ed25519 {
				opts = crypto.Hash(0)
			}
			if _, err := opened.Sign(rand.Reader, digest[:], opts); err != nil {
				t.Errorf("the opened key does not sign: %v", err)
			}
			der, err := x509.MarshalPKCS8PrivateKey(created)
			check(t, err)
			if bytes.Contains(ref, der[len(der)-16:]) {
				t.Error("the key stands in its reference")
			}
		})
	}
}

func TestKeysRefuse(t *testing.T) {
	sealer := newSealer(t)
	keys := New(sealer)
	_, ref, err := keys.Create(ca.ECDSAP256, "authority 1")
	check(t, err)
	_, other, err := keys.Create(ca.ECDSAP256, "authority 2")
	check(t, err)
	if signer, err := keys.Open(other, "authority 1"); !errors.Is(err, ErrOpen) || signer != nil {
		t.Errorf("the key of another place: %v, %v", signer, err)
	}
	if signer, err := New(newSealer(t)).Open(ref, "authority 1"); !errors.Is(err, ErrOpen) || signer != nil {
		t.Errorf("under another seal key: %v, %v", signer, err)
	}
	if signer, _, err := keys.Create("rsa-1024", "a"); err == nil {
		t.Errorf("a key of an unknown algorithm was made: %T", signer)
	}
	weak, err := x509.MarshalPKIXPublicKey(must(keys.Create(ca.Ed25519, "a")).Public())
	check(t, err)
	for name, plain := range map[string][]byte{"no key": []byte("no key"), "a public key": weak} {
		blob, err := sealer.Seal(plain, []byte("place"))
		check(t, err)
		if signer, err := keys.Open(blob, "place"); err == nil {
			t.Errorf("%s was opened as %T", name, signer)
		}
	}
}

func must(signer crypto.Signer, _ []byte, err error) crypto.Signer {
	if err != nil {
		panic(err)
	}
	return signer
}

func TestSealKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	key, err := GenerateSealKey()
	check(t, err)
	check(t, WriteSealKey(path, key))
	got, err := ReadSealKey(path)
	if err != nil || got != key {
		t.Fatalf("ReadSealKey: %v", err)
	}
	info, err := os.Stat(path)
	check(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %04o", info.Mode().Perm())
	}
	if err := WriteSealKey(path, [sealKeySize]byte{1}); !errors.Is(err, os.ErrExist) {
		t.Errorf("an existing file: %v", err)
	}
	if again, err := ReadSealKey(path); err != nil || again != key {
		t.Errorf("the existing file was touched: %v", err)
	}
}

func TestReadSealKeyRefuses(t *testing.T) {
	dir := t.TempDir()
	good := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, sealKeySize))
	for name, tt := range map[string]struct {
		text string
		mode os.FileMode
	}{
		"a file that the group may read": {good, 0o640},
		"a file that anyone may read":    {good, 0o604},
		"a file that anyone may write":   {good, 0o602},
		"an empty file":                  {"", 0o600},
		"a key of 31 octets":             {base64.StdEncoding.EncodeToString(make([]byte, 31)), 0o600},
		"what is not base64":             {strings.Repeat("!", 44), 0o600},
		"two keys":                       {good + "\n" + good, 0o600},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			check(t, os.WriteFile(path, []byte(tt.text), tt.mode))
			check(t, os.Chmod(path, tt.mode))
			_, err := ReadSealKey(path)
			if err == nil {
				t.Fatal("the key was read")
			}
			if tt.text != "" && strings.Contains(err.Error(), tt.text) {
				t.Errorf("the error repeats the key: %v", err)
			}
		})
	}
	if _, err := ReadSealKey(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	check(t, os.Chmod(dir, 0o700))
	if _, err := ReadSealKey(dir); err == nil {
		t.Error("a directory was read as a key")
	}
}

// FuzzOpen checks that nothing but what Seal made is opened, and nothing panics.
func FuzzOpen(f *testing.F) {
	s := newSealer(f)
	blob, err := s.Seal([]byte("secret"), []byte("place"))
	check(f, err)
	f.Add(blob, []byte("place"))
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, data, place []byte) {
		got, err := s.Open(data, place)
		if genuine := bytes.Equal(data, blob) && string(place) == "place"; (err == nil) != genuine {
			t.Errorf("Open(%x, %q) = %q, %v", data, place, got, err)
		}
	})
}
