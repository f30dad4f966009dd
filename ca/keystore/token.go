package keystore

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pando-ca/pando/ca"
)

// Errors of a token.
var (
	// ErrNoPKCS11 says that the program has no PKCS #11 in it.
	ErrNoPKCS11 = errors.New("this pando was built without PKCS #11; it takes CGO_ENABLED=1 go build -tags pkcs11")
	// ErrPIN says that the token does not take the PIN. It is not tried again: tokens lock
	// themselves after a few wrong ones.
	ErrPIN = errors.New("the token does not accept the PIN")
	// ErrNoKey says that the token does not hold a key.
	ErrNoKey = errors.New("the token holds no such key")
	// ErrTokenSilent says that the token did not answer in time. Whether it did what it was
	// asked for is not known.
	ErrTokenSilent = errors.New("the token does not answer")

	errUnsupportedKey = errors.New("keys of this algorithm are not made in a token")
)

const (
	// tokenTimeout bounds one operation of a token. Even an RSA key of 4096 bits in a slow
	// module takes less; a caller who waits for a certificate has given up by then.
	tokenTimeout = 10 * time.Second

	// tokenCalls is how many operations a token is given at once. A module that hangs holds
	// that many goroutines and no more.
	tokenCalls = 64
)

// session is a login to a token. Its methods are safe for concurrent use, but for Close.
type session interface {
	// create makes a key; the reference is not in use.
	create(alg ca.KeyAlgorithm, ref string) (crypto.Signer, error)
	// key finds a key; ErrNoKey. What it returns lives as long as the session.
	key(ref string) (crypto.Signer, error)
	// destroy deletes a key; a key that is not there is no error.
	destroy(ref string) error
	io.Closer
}

// Token holds keys that never leave it, behind PKCS #11. It is safe for concurrent use.
//
// A session that is lost makes the operation fail that finds out, and the next one logs in
// anew. No operation takes longer than ten seconds.
type Token struct {
	open   func() (session, error)
	calls  chan struct{} // holds one value for each operation under way
	silent atomic.Bool   // whether an operation was given up, and none has ended since

	mu      sync.RWMutex // held for reading by operations, for writing by those that open and close
	session session      // nil: to be opened
	err     error        // why there is no session; nil while there is one
}

// OpenToken logs in to a token. It wraps [ErrPIN] when the PIN is wrong, and is [ErrNoPKCS11]
// in a program that was built without it.
func OpenToken(cfg TokenConfig) (*Token, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("open token: %w", err)
	}
	t := newToken(func() (session, error) { return login(cfg) })
	if err := t.Check(); err != nil {
		return nil, fmt.Errorf("open token: %w", err)
	}
	return t, nil
}

func newToken(open func() (session, error)) *Token {
	return &Token{open: open, calls: make(chan struct{}, tokenCalls)}
}

// Create makes a key under a reference that [NewReference] has returned.
func (t *Token) Create(alg ca.KeyAlgorithm, ref Reference) (crypto.Signer, error) {
	public, err := ask(t, func(s session) (crypto.PublicKey, error) {
		key, err := s.create(alg, ref.String())
		if err != nil {
			return nil, err
		}
		return key.Public(), nil
	})
	if err != nil {
		return nil, fmt.Errorf("create key in token: %w", err)
	}
	return &tokenSigner{t, ref.String(), public}, nil
}

// Open returns the signer of a key; it wraps [ErrNoKey].
func (t *Token) Open(ref Reference) (crypto.Signer, error) {
	public, err := ask(t, func(s session) (crypto.PublicKey, error) {
		key, err := s.key(ref.String())
		if err != nil {
			return nil, err
		}
		return key.Public(), nil
	})
	if err != nil {
		return nil, fmt.Errorf("open key in token: %w", err)
	}
	if _, err := ca.KeyAlgorithmOf(public); err != nil {
		return nil, fmt.Errorf("open key in token: %w", err)
	}
	return &tokenSigner{t, ref.String(), public}, nil
}

// Destroy deletes a key. It is idempotent.
func (t *Token) Destroy(ref Reference) error {
	_, err := ask(t, func(s session) (struct{}, error) { return struct{}{}, s.destroy(ref.String()) })
	if err != nil {
		return fmt.Errorf("destroy key in token: %w", err)
	}
	return nil
}

// probe is a reference that no key has: to look for it is to hear from the token.
var probe = reference("00000000000000000000000000000000", "probe")

// Check reports why keys of the token cannot be used now, after trying to log in anew if the
// session was lost. While all is well it does not bother the token.
func (t *Token) Check() error {
	_, err := ask(t, func(s session) (struct{}, error) {
		if !t.silent.Load() {
			return struct{}{}, nil
		}
		_, err := s.key(probe.String())
		return struct{}{}, err
	})
	if errors.Is(err, ErrNoKey) {
		return nil
	}
	return err
}

// Close logs out. The token may not be used afterwards.
func (t *Token) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.session == nil {
		return nil
	}
	old := t.session
	t.session, t.err = nil, errors.New("the token is closed")
	return old.Close()
}

// ask calls f with a session. Nobody can interrupt a module that hangs: then ask returns without
// it, and its goroutine stays until the module answers.
func ask[T any](t *Token, f func(session) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	var none T
	limit := time.NewTimer(tokenTimeout)
	defer limit.Stop()
	select {
	case t.calls <- struct{}{}:
	case <-limit.C:
		t.silent.Store(true)
		return none, ErrTokenSilent
	}
	answered := make(chan answer, 1)
	go func() {
		defer func() { <-t.calls }()
		value, err := use(t, f)
		t.silent.Store(false)
		answered <- answer{value, err}
	}()
	select {
	case a := <-answered:
		return a.value, a.err
	case <-limit.C:
		t.silent.Store(true)
		return none, ErrTokenSilent
	}
}

// use calls f with a session that it opens if need be, and drops one that turns out to be lost.
func use[T any](t *Token, f func(session) (T, error)) (T, error) {
	var none T
	current, release, err := t.acquire()
	if err != nil {
		return none, err
	}
	value, err := f(current)
	release()
	if err != nil && !errors.Is(err, ErrNoKey) && !errors.Is(err, errUnsupportedKey) {
		t.drop(current)
	}
	return value, err
}

// acquire returns the session, which stays open until release is called.
func (t *Token) acquire() (current session, release func(), err error) {
	t.mu.RLock()
	if t.session != nil {
		return t.session, t.mu.RUnlock, nil
	}
	t.mu.RUnlock()
	if err := t.login(); err != nil {
		return nil, nil, err
	}
	t.mu.RLock()
	if t.session == nil { // lost again, between the two locks
		defer t.mu.RUnlock()
		return nil, nil, errors.New("the session with the token is lost")
	}
	return t.session, t.mu.RUnlock, nil
}

func (t *Token) login() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.session != nil || errors.Is(t.err, ErrPIN) {
		return t.err
	}
	t.session, t.err = t.open()
	return t.err
}

// drop closes a session that does not work, unless another operation has done so.
func (t *Token) drop(lost session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.session != lost {
		return
	}
	t.session = nil
	_ = lost.Close() // it is lost: there is nothing more to be said about it
}

// tokenSigner signs with a key of a token.
type tokenSigner struct {
	token  *Token
	ref    string
	public crypto.PublicKey
}

var _ crypto.Signer = (*tokenSigner)(nil)

// Public implements crypto.Signer.
func (s *tokenSigner) Public() crypto.PublicKey { return s.public }

// Sign implements crypto.Signer. The source of randomness is the token's own.
func (s *tokenSigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := ask(s.token, func(current session) ([]byte, error) {
		key, err := current.key(s.ref)
		if err != nil {
			return nil, err
		}
		return key.Sign(rand, digest, opts)
	})
	if err != nil {
		return nil, fmt.Errorf("sign in token: %w", err)
	}
	return signature, nil
}
