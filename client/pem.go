package client

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// Bounds on what is parsed. A chain has a leaf, an intermediate and at most a few
// cross-certificates; a bundle has as many roots as there are rotations under way.
const (
	maxChain = 10
	maxRoots = 100
)

// parseCertificates parses certificates in PEM, at least 1 and at most limit. Text between
// blocks is allowed, since people write comments into their bundles; anything else that is
// not a whole certificate is refused rather than skipped, so that no root is silently lost.
func parseCertificates(data []byte, limit int) ([]*x509.Certificate, error) {
	begun := bytes.Count(data, []byte("-----BEGIN "))
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("PEM block is %q, want CERTIFICATE", printable(block.Type))
		}
		if len(certs) == limit {
			return nil, fmt.Errorf("more than %d certificates", limit)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
	switch {
	case len(certs) == 0:
		return nil, errors.New("no certificate in PEM")
	case len(certs) != begun:
		return nil, errors.New("a PEM block is damaged")
	}
	return certs, nil
}

// encodeCertificates writes certificates in PEM.
func encodeCertificates(certs []*x509.Certificate) []byte {
	var text []byte
	for _, cert := range certs {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	return text
}
