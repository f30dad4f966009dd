package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/pando-ca/pando/ca/keystore"
	"github.com/pando-ca/pando/store"
)

const (
	// sealKeyVariable holds the seal key itself, for those who keep secrets in the environment.
	sealKeyVariable = "PANDO_SEAL_KEY"
	// pinVariable holds the PIN of the token.
	pinVariable = "PANDO_PKCS11_PIN"
)

// The values of keys.backend.
const (
	keysSealed = "sealed"
	keysPKCS11 = "pkcs11"
)

// vault opens what is sealed in the database, and the keys in the token if there is one.
type vault struct {
	sealer *keystore.Sealer
	keys   *keystore.Keys
	token  *keystore.Token // nil: all keys are sealed
}

func newVault(key [32]byte) (*vault, error) {
	sealer, err := keystore.NewSealer(key)
	if err != nil {
		return nil, fmt.Errorf("seal key: %w", err)
	}
	return &vault{sealer: sealer, keys: keystore.New(sealer)}, nil
}

// openVault takes the seal key from text, the value of PANDO_SEAL_KEY, or, when that is
// empty, from the file.
func openVault(text, file string) (*vault, error) {
	var key [32]byte
	var err error
	if text != "" {
		if key, err = keystore.ParseSealKey(text); err != nil {
			return nil, fmt.Errorf("%s: %w", sealKeyVariable, err)
		}
		return newVault(key)
	}
	key, err = keystore.ReadSealKey(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no seal key: neither %s nor the file %s", sealKeyVariable, file)
	case err != nil:
		return nil, err
	}
	return newVault(key)
}

// openToken logs in to the token, if one is configured. What keys are made there is noted in
// intents first.
func (v *vault) openToken(cfg *keysConfig, intents store.KeyIntents) error {
	if cfg.URI == "" {
		return nil
	}
	pin, err := cfg.pin()
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	if v.token, err = keystore.OpenToken(keystore.TokenConfig{URI: cfg.URI, PIN: pin}); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	v.keys = keystore.WithToken(v.sealer, v.token, cfg.Backend == keysPKCS11, keyIntents{intents})
	return nil
}

// close logs out of the token.
func (v *vault) close() error {
	if v.token == nil {
		return nil
	}
	return v.token.Close()
}

// pin is the PIN of the token, from the environment or the file.
func (k *keysConfig) pin() (string, error) {
	if pin := os.Getenv(pinVariable); pin != "" {
		return pin, nil
	}
	if k.PINFile == "" {
		return "", fmt.Errorf("the PIN of the token is missing: there is neither %s nor keys.pin_file", pinVariable)
	}
	return keystore.ReadPIN(k.PINFile)
}

// intentTimeout bounds the one row that is written before a key is made.
const intentTimeout = 10 * time.Second

// keyIntents shows the store to the keys, which do not know it.
type keyIntents struct{ store store.KeyIntents }

var _ keystore.Intents = keyIntents{}

// Intend implements keystore.Intents.
func (i keyIntents) Intend(ref []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), intentTimeout)
	defer cancel()
	return i.store.AddKeyIntent(ctx, ref, time.Now())
}
