package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
)

// maxMaterial bounds what is read of a file of certificates: a bundle of hundreds of roots.
const maxMaterial = 1 << 20

// material is what a file of certificates holds.
type material struct {
	certificates []*x509.Certificate // in the order of the file
	key          crypto.Signer       // nil: none
}

// readMaterial reads certificates, with or without a key: PEM, DER, or a SPIFFE bundle document.
// The path "-" is the standard input.
func readMaterial(path string, stdin io.Reader) (*material, error) {
	data, err := readLimited(path, stdin)
	if err != nil {
		return nil, err
	}
	m, err := parseMaterial(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

func readLimited(path string, stdin io.Reader) ([]byte, error) {
	in := stdin
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	data, err := io.ReadAll(io.LimitReader(in, maxMaterial+1))
	if err == nil && len(data) > maxMaterial {
		err = fmt.Errorf("%s holds more than %d bytes", path, maxMaterial)
	}
	return data, err
}

func parseMaterial(data []byte) (*material, error) {
	trimmed := bytes.TrimSpace(data)
	switch {
	case len(trimmed) == 0:
		return nil, errors.New("is empty")
	case trimmed[0] == '{':
		return parseDocument(trimmed)
	case bytes.Contains(trimmed, []byte("-----BEGIN ")):
		return parsePEM(trimmed)
	}
	certificate, err := x509.ParseCertificate(data)
	if err != nil {
		return nil, errors.New("holds neither PEM, nor a certificate in DER, nor a SPIFFE bundle document")
	}
	return &material{certificates: []*x509.Certificate{certificate}}, nil
}

// parsePEM takes certificates, and at most one key. What else there is, is an error: a file that
// is looked at because something is wrong must not look better than it is.
func parsePEM(data []byte) (*material, error) {
	m := &material{}
	for len(data) > 0 {
		block, rest := pem.Decode(data)
		if block == nil {
			return nil, errors.New("holds a damaged PEM block, or text after the last one")
		}
		switch data = bytes.TrimSpace(rest); block.Type {
		case "CERTIFICATE":
			certificate, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("certificate %d: %w", len(m.certificates)+1, err)
			}
			m.certificates = append(m.certificates, certificate)
		case "PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY":
			if m.key != nil {
				return nil, errors.New("holds two keys")
			}
			var err error
			if m.key, err = parseKey(block); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("holds a PEM block of type %q", block.Type)
		}
	}
	if len(m.certificates) == 0 {
		return nil, errors.New("holds no certificate")
	}
	return m, nil
}

func parseKey(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch block.Type {
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	signer, ok := key.(crypto.Signer)
	if err != nil || !ok {
		return nil, errors.New("holds a key that cannot be read") // and nothing of it is repeated
	}
	return signer, nil
}

// parseDocument takes the roots of a SPIFFE bundle document (SPIFFE Trust Domain and Bundle,
// section 4): of each key for X.509-SVIDs the first certificate.
func parseDocument(data []byte) (*material, error) {
	var document struct {
		Keys []struct {
			Use string   `json:"use"`
			X5C [][]byte `json:"x5c"`
		} `json:"keys"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("SPIFFE bundle document: %w", err)
	}
	m := &material{}
	for _, key := range document.Keys {
		if key.Use != "x509-svid" || len(key.X5C) == 0 {
			continue
		}
		root, err := x509.ParseCertificate(key.X5C[0])
		if err != nil {
			return nil, fmt.Errorf("SPIFFE bundle document: key %d: %w", len(m.certificates)+1, err)
		}
		m.certificates = append(m.certificates, root)
	}
	if len(m.certificates) == 0 {
		return nil, errors.New("SPIFFE bundle document: holds no root for X.509-SVIDs")
	}
	return m, nil
}
