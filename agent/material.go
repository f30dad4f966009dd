package agent

import (
	"bufio"
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/internal/durable"
)

// material is key, chain and roots that belong together.
type material struct {
	serial   string
	notAfter time.Time
	key      crypto.PrivateKey
	chain    []*x509.Certificate
	roots    []*x509.Certificate
}

// collect takes from a source what is of one moment: the library swaps certificate and roots
// together, and may do so between two questions.
func collect(source *client.Source) (*material, error) {
	for {
		before := source.Status()
		certificate, err := source.Certificate()
		if err != nil {
			return nil, err
		}
		roots := source.Roots()
		after := source.Status()
		if before.Serial != after.Serial || before.BundleSequence != after.BundleSequence {
			continue
		}
		m := &material{serial: after.Serial, notAfter: after.NotAfter, key: certificate.PrivateKey, roots: roots}
		for _, der := range certificate.Certificate {
			parsed, err := x509.ParseCertificate(der)
			if err != nil {
				return nil, fmt.Errorf("chain: %w", err)
			}
			m.chain = append(m.chain, parsed)
		}
		return m, nil
	}
}

// keyPEM is the key as PKCS #8 in PEM.
func (m *material) keyPEM() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(m.key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func certificatesPEM(certs []*x509.Certificate) []byte {
	var out []byte
	for _, cert := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	return out
}

// files is the material in the form that an output wants.
func (m *material) files(o *Output) ([]durable.File, error) {
	key, err := m.keyPEM()
	if err != nil {
		return nil, err
	}
	chain := certificatesPEM(m.chain)
	var files []durable.File
	add := func(name string, data []byte, mode os.FileMode) {
		if name != "" {
			files = append(files, durable.File{Name: name, Data: data, Mode: mode})
		}
	}
	add(o.Chain, chain, o.Mode)
	add(o.Key, key, o.KeyMode)
	add(o.Bundle, certificatesPEM(m.roots), o.Mode)
	add(o.Combined, append(bytes.Clone(key), chain...), o.KeyMode)
	if o.PKCS12 != "" {
		store, err := m.pkcs12(o.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("PKCS #12: %w", err)
		}
		add(o.PKCS12, store, o.KeyMode)
	}
	return files, nil
}

// pkcs12 is all in one file, as programs on the JVM want it. It is encrypted with AES-256 and
// PBKDF2, which OpenSSL reads from 1.1.1 on and Java from 8u301.
func (m *material) pkcs12(passwordFile string) ([]byte, error) {
	password, err := firstLine(passwordFile)
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	authorities := append(append([]*x509.Certificate(nil), m.chain[1:]...), m.roots...)
	return pkcs12.Modern2023.Encode(m.key, m.chain[0], authorities, password)
}

func firstLine(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	scanner := bufio.NewScanner(file)
	scanner.Scan()
	if err := scanner.Err(); err != nil {
		return "", err
	}
	if scanner.Text() == "" {
		return "", errors.New("the first line is empty")
	}
	return scanner.Text(), nil
}

// inForce reports whether the version in force holds these files. A PKCS #12 file is another
// one each time: it goes with the others.
func (o *Output) inForce(v durable.Versions, files []durable.File) bool {
	dir, err := v.Current()
	if err != nil {
		return false
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != len(files) {
		return false
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != f.Mode {
			return false
		}
		data, err := os.ReadFile(path)
		if err != nil || f.Name != o.PKCS12 && !bytes.Equal(data, f.Data) {
			return false
		}
	}
	return true
}
