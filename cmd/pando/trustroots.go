package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// trustRoots is what a server is verified under: the roots of one trust domain.
type trustRoots struct {
	domain spiffeid.TrustDomain
	roots  []*x509.Certificate
}

// readBundle reads a PEM file of roots.
func readBundle(path string) (*trustRoots, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	trust, err := parseBundle(data)
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", path, err)
	}
	return trust, nil
}

// parseBundle takes PEM certificates, all of the same trust domain, which each carries as
// its SPIFFE ID (X509-SVID section 3.1).
func parseBundle(data []byte) (*trustRoots, error) {
	roots, err := parseCertificates(data)
	if err != nil {
		return nil, err
	}
	trust := &trustRoots{roots: roots}
	for _, root := range roots {
		id, err := spiffeid.FromCertificate(root)
		if err != nil {
			return nil, err
		}
		if trust.domain.IsZero() {
			trust.domain = id.TrustDomain()
		}
		switch {
		case !root.IsCA:
			return nil, fmt.Errorf("%s is not a CA certificate", id)
		case id.TrustDomain() != trust.domain:
			return nil, fmt.Errorf("mixes trust domains %s and %s", trust.domain, id.TrustDomain())
		}
	}
	return trust, nil
}

// parseCertificates takes one or more PEM certificates and nothing else.
func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate
	for rest := bytes.TrimSpace(data); len(rest) > 0; rest = bytes.TrimSpace(rest) {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil || block.Type != "CERTIFICATE" {
			return nil, errors.New("holds something that is not a PEM certificate")
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certificates = append(certificates, certificate)
	}
	if len(certificates) == 0 {
		return nil, errors.New("holds no certificate")
	}
	return certificates, nil
}

// pem writes the roots one after the other.
func (t *trustRoots) pem() []byte {
	var out []byte
	for _, root := range t.roots {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})...)
	}
	return out
}

// verifyServer reports whether a chain belongs to a Pando server of the trust domain: whether
// it is spiffe://<trust domain>/pando/server. DNS names and addresses play no part, since a
// server may be reached by any.
func (t *trustRoots) verifyServer(chain []*x509.Certificate, now time.Time) error {
	want, err := spiffeid.Join(t.domain, "pando", "server")
	if err != nil {
		return &untrustedServerError{err}
	}
	id, err := t.verify(chain, x509.ExtKeyUsageServerAuth, now)
	switch {
	case err != nil:
		return &untrustedServerError{fmt.Errorf("its certificate: %w", err)}
	case id != want:
		return &untrustedServerError{fmt.Errorf("it is %s, not %s", id, want)}
	}
	return nil
}

// untrustedServerError says why a server is not who it should be.
type untrustedServerError struct{ err error }

func (e *untrustedServerError) Error() string { return e.err.Error() }
func (e *untrustedServerError) Unwrap() error { return e.err }

// verify checks a chain, leaf first, up to the roots (X509-SVID section 5) and returns whose it is.
func (t *trustRoots) verify(chain []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) (spiffeid.ID, error) {
	if len(chain) == 0 {
		return spiffeid.ID{}, errors.New("there is none")
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, root := range t.roots {
		roots.AddCert(root)
	}
	for _, certificate := range chain[1:] {
		intermediates.AddCert(certificate)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage},
	})
	switch {
	case err != nil:
		return spiffeid.ID{}, err
	case chain[0].IsCA:
		return spiffeid.ID{}, errors.New("is a CA's")
	}
	return spiffeid.FromCertificate(chain[0])
}

// tlsConfig verifies the server at each handshake, and presents certificate if there is one.
func (t *trustRoots) tlsConfig(certificate *tls.Certificate) *tls.Config {
	config := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // VerifyConnection verifies by SPIFFE ID, not by DNS name
		VerifyConnection: func(state tls.ConnectionState) error {
			return t.verifyServer(state.PeerCertificates, time.Now())
		},
	}
	if certificate != nil {
		// Always, whatever CAs the server names: a chain under an old root is judged there.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return certificate, nil
		}
	}
	return config
}

// rootFingerprint is the SHA-256 of a root's DER form.
type rootFingerprint [sha256.Size]byte

// parseFingerprint takes 64 hex digits, with or without colons, as openssl and Pando print them.
func parseFingerprint(text string) (rootFingerprint, error) {
	var f rootFingerprint
	digits := strings.TrimPrefix(strings.ToLower(text), "sha256:")
	decoded, err := hex.DecodeString(strings.ReplaceAll(digits, ":", ""))
	if err != nil || len(decoded) != len(f) {
		return f, usageErrorf("fingerprint %q is not a SHA-256 of 64 hex digits", text)
	}
	return rootFingerprint(decoded), nil
}

// only returns the trust that is left when nothing but the root of this fingerprint counts.
func (t *trustRoots) only(f rootFingerprint) (*trustRoots, error) {
	at := slices.IndexFunc(t.roots, func(root *x509.Certificate) bool {
		sum := sha256.Sum256(root.Raw)
		return subtle.ConstantTimeCompare(sum[:], f[:]) == 1
	})
	if at < 0 {
		return nil, fmt.Errorf("the server shows no root with the fingerprint %x", f[:])
	}
	return &trustRoots{domain: t.domain, roots: t.roots[at : at+1]}, nil
}
