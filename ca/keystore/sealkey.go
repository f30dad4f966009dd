package keystore

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const (
	sealKeyMode   = 0o600
	othersMayRead = 0o077
	maxSealFile   = 1 << 10 // a seal key needs 45 octets
)

// GenerateSealKey draws a new seal key.
func GenerateSealKey() ([sealKeySize]byte, error) {
	var key [sealKeySize]byte
	if _, err := rand.Read(key[:]); err != nil {
		return key, fmt.Errorf("generate seal key: %w", err)
	}
	return key, nil
}

// ParseSealKey reads a seal key from its text form, standard base64. White space around it
// is ignored. The error never repeats the text.
func ParseSealKey(text string) ([sealKeySize]byte, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(strings.TrimSpace(text))
	if err != nil {
		return [sealKeySize]byte{}, errors.New("seal key: not base64")
	}
	if len(raw) != sealKeySize {
		return [sealKeySize]byte{}, fmt.Errorf("seal key: %d octets, want %d", len(raw), sealKeySize)
	}
	return [sealKeySize]byte(raw), nil
}

// ReadSealKey reads a seal key from a file. A file that others than its owner may read,
// write or execute is refused: the key in it is no secret any more.
func ReadSealKey(path string) ([sealKeySize]byte, error) {
	var none [sealKeySize]byte
	f, err := openSecret(path)
	if err != nil {
		return none, fmt.Errorf("read seal key: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSealFile))
	if err != nil {
		return none, fmt.Errorf("read seal key: %w", err)
	}
	key, err := ParseSealKey(string(text))
	if err != nil {
		return none, fmt.Errorf("read seal key: %s: %w", path, err)
	}
	return key, nil
}

// WriteSealKey writes key to a new file that only its owner may read, durably: when it
// returns, keys may be sealed under it. An existing file is never touched.
func WriteSealKey(path string, key [sealKeySize]byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, sealKeyMode)
	if err != nil {
		return fmt.Errorf("write seal key: %w", err)
	}
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(key[:]) + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("write seal key: %w", errors.Join(err, os.Remove(path)))
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the name of a new file durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("write seal key: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("write seal key: %w", err)
	}
	return nil
}
