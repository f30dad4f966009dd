package keystore

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-ca/pando/ca"
)

// fakeToken is a token whose sessions can be lost.
type fakeToken struct {
	mu     sync.Mutex
	keys   map[string]crypto.Signer
	logins int
	fail   error // of the next login
	lost   bool  // the open session
	hang   chan struct{}
}

func (f *fakeToken) open() (session, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logins++
	if f.fail != nil {
		return nil, f.fail
	}
	f.lost = false
	return &fakeSession{f}, nil
}

type fakeSession struct{ *fakeToken }

var errLost = errors.New("session handle invalid")

func (s *fakeSession) create(_ ca.KeyAlgorithm, ref string) (crypto.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[ref] = key
	return key, err
}

func (s *fakeSession) key(ref string) (crypto.Signer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hang != nil {
		hang := s.hang
		s.mu.Unlock()
		<-hang
		s.mu.Lock()
	}
	switch key := s.keys[ref]; {
	case s.lost:
		return nil, errLost
	case key == nil:
		return nil, ErrNoKey
	default:
		return key, nil
	}
}

func (s *fakeSession) destroy(ref string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, ref)
	return nil
}

func (s *fakeSession) Close() error { return nil }

func newFakeToken() (*fakeToken, *Token) {
	f := &fakeToken{keys: make(map[string]crypto.Signer)}
	return f, newToken(f.open)
}

func sign(signer crypto.Signer) error {
	_, err := signer.Sign(rand.Reader, make([]byte, 32), crypto.SHA256)
	return err
}

func TestLostSessionFailsOnceAndIsOpenedAnew(t *testing.T) {
	fake, token := newFakeToken()
	signer, err := token.Create(ca.ECDSAP256, NewReference("a"))
	check(t, err)
	check(t, sign(signer))
	fake.lost = true
	if err := sign(signer); !errors.Is(err, errLost) {
		t.Errorf("the signature that finds the session lost: %v", err)
	}
	check(t, sign(signer))
	if fake.logins != 2 {
		t.Errorf("%d logins, want 2", fake.logins)
	}
}

func TestCheckSaysWhyThereIsNoSession(t *testing.T) {
	fake, token := newFakeToken()
	signer, err := token.Create(ca.ECDSAP256, NewReference("a"))
	check(t, err)
	fake.lost, fake.fail = true, errors.New("the cable is out")
	if err := sign(signer); !errors.Is(err, errLost) {
		t.Fatal(err)
	}
	for range 2 {
		if err := token.Check(); !errors.Is(err, fake.fail) {
			t.Errorf("while it is out: %v", err)
		}
	}
	fake.fail = nil
	check(t, token.Check())
	check(t, sign(signer))
}

func TestWrongPINIsNotTriedAgain(t *testing.T) {
	fake, token := newFakeToken()
	fake.fail = ErrPIN
	for range 5 {
		if err := token.Check(); !errors.Is(err, ErrPIN) {
			t.Errorf("a wrong PIN: %v", err)
		}
	}
	if fake.logins != 1 {
		t.Errorf("%d logins with a wrong PIN, want 1", fake.logins)
	}
}

func TestMissingKeyLeavesTheSessionAlone(t *testing.T) {
	fake, token := newFakeToken()
	if _, err := token.Open(NewReference("a")); !errors.Is(err, ErrNoKey) {
		t.Errorf("a key that is not there: %v", err)
	}
	check(t, token.Check())
	if fake.logins != 1 {
		t.Errorf("%d logins, want 1", fake.logins)
	}
}

func TestSilentTokenIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, token := newFakeToken()
		signer, err := token.Create(ca.ECDSAP256, NewReference("a"))
		check(t, err)
		fake.hang = make(chan struct{})
		var wait sync.WaitGroup
		for range 2 * tokenCalls {
			wait.Go(func() {
				began := time.Now()
				if err := sign(signer); !errors.Is(err, ErrTokenSilent) {
					t.Errorf("a token that hangs: %v", err)
				}
				if took := time.Since(began); took != tokenTimeout {
					t.Errorf("given up after %s, want %s", took, tokenTimeout)
				}
			})
		}
		wait.Wait()
		if err := token.Check(); !errors.Is(err, ErrTokenSilent) {
			t.Errorf("Check of a token that hangs: %v", err)
		}
		close(fake.hang)
		synctest.Wait()
		check(t, token.Check())
		check(t, sign(signer))
	})
}

// intents is an Intents that remembers.
type intents struct {
	refs []string
	err  error
}

func (i *intents) Intend(ref []byte) error {
	i.refs = append(i.refs, string(ref))
	return i.err
}

func TestKeysOfBothKinds(t *testing.T) {
	sealer := newSealer(t)
	fake, token := newFakeToken()
	noted := &intents{}
	inToken, sealed := WithToken(sealer, token, true, noted), WithToken(sealer, token, false, noted)

	_, sealedRef, err := sealed.Create(ca.ECDSAP256, "place")
	check(t, err)
	if len(noted.refs) != 0 || InToken(sealedRef) {
		t.Errorf("a sealed key has intents %q, or is in the token", noted.refs)
	}
	_, tokenRef, err := inToken.Create(ca.ECDSAP256, "place of keys")
	check(t, err)
	if len(noted.refs) != 1 || noted.refs[0] != string(tokenRef) || !InToken(tokenRef) {
		t.Errorf("intents %q for key %s", noted.refs, tokenRef)
	}
	for _, keys := range []*Keys{inToken, sealed} {
		for label, ref := range map[string][]byte{"place": sealedRef, "place of keys": tokenRef} {
			signer, err := keys.Open(ref, label)
			check(t, err)
			check(t, sign(signer))
			if _, err := keys.Open(ref, "another place"); err == nil {
				t.Errorf("%q is opened for another place", ref)
			}
		}
	}
	if _, err := New(sealer).Open(tokenRef, "place of keys"); !errors.Is(err, errNoToken) {
		t.Errorf("without a token: %v", err)
	}
	for range 2 { // idempotent
		check(t, sealed.Destroy(tokenRef))
		check(t, sealed.Destroy(sealedRef))
	}
	if len(fake.keys) != 0 {
		t.Errorf("%d keys left", len(fake.keys))
	}
	if err := New(sealer).Destroy(tokenRef); !errors.Is(err, errNoToken) {
		t.Errorf("destroying without a token: %v", err)
	}
}

func TestNoKeyWithoutAnIntent(t *testing.T) {
	fake, token := newFakeToken()
	noted := &intents{err: errors.New("the database is away")}
	if _, _, err := WithToken(newSealer(t), token, true, noted).Create(ca.ECDSAP256, "a"); !errors.Is(err, noted.err) {
		t.Errorf("an intent that was not written: %v", err)
	}
	if len(fake.keys) != 0 {
		t.Error("a key was made that nobody will find")
	}
}

func TestParseReferenceRefuses(t *testing.T) {
	good := NewReference("authority root of example.org").String()
	if _, err := ParseReference(good, "authority root of example.org"); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"another scheme":         strings.Replace(good, "pkcs11:", "https:", 1),
		"no id":                  "pkcs11:object=a",
		"a short id":             "pkcs11:id=00;object=authority%20root%20of%20example.org",
		"attributes out of turn": "pkcs11:object=authority%20root%20of%20example.org;" + good[len("pkcs11:"):strings.Index(good, ";")],
		"a PIN":                  good + "?pin-value=1",
		"a token":                good + ";token=x",
		"upper case":             strings.Replace(good, good[10:42], strings.ToUpper(good[10:42])+"A", 1),
		"nothing":                "",
	} {
		if _, err := ParseReference(text, "authority root of example.org"); err == nil {
			t.Errorf("%s: %q is accepted", name, text)
		}
	}
}

func TestValidTokenURI(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"a token":               {"pkcs11:module-path=/m.so;token=pando", ""},
		"a serial number":       {"pkcs11:module-path=/m.so;serial=1a2b", ""},
		"a slot":                {"pkcs11:module-path=/m.so;slot-id=5;max-sessions=10", ""},
		"a PIN":                 {"pkcs11:module-path=/m.so;token=pando?pin-value=secret", "pin-value"},
		"a PIN in the path":     {"pkcs11:module-path=/m.so;token=pando;pin-value=secret", "pin-value"},
		"a PIN from a prompt":   {"pkcs11:module-path=/m.so;token=pando?pin-prompt=x", "pin-prompt"},
		"no module":             {"pkcs11:token=pando", "module-path"},
		"a relative module":     {"pkcs11:module-path=m.so;token=pando", "absolute"},
		"no token":              {"pkcs11:module-path=/m.so", "exactly one"},
		"two tokens":            {"pkcs11:module-path=/m.so;token=pando;serial=1", "exactly one"},
		"another scheme":        {"https://secret@example.org", "not a URI"},
		"an unknown attribute":  {"pkcs11:module-path=/m.so;token=pando;object=x", `"object"`},
		"nothing":               {"", "not a URI"},
		"not a URI, with a PIN": {"pkcs11:%zz;pin-value=secret", "not a URI"},
	} {
		err := ValidTokenURI(tt.text)
		switch {
		case tt.want == "" && err != nil, tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		case err != nil && strings.Contains(err.Error(), "secret"):
			t.Errorf("%s: the error repeats the PIN: %v", name, err)
		}
	}
}

func TestReadPIN(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"a PIN":                       {" 1234\n", 0o600, "1234"},
		"an empty file":               {"\n", 0o600, ""},
		"a file that others may read": {"1234", 0o644, ""},
	} {
		path := filepath.Join(t.TempDir(), "pin")
		check(t, os.WriteFile(path, []byte(tt.text), 0o600))
		check(t, os.Chmod(path, tt.mode))
		got, err := ReadPIN(path)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
