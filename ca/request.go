package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// NewIntermediateRequest makes a certification request (RFC 2986, DER) for the key of an
// intermediate whose certificate somebody else is to sign. It asks for the SPIFFE ID of the
// trust domain; what else the certificate must say is not for a request to tell.
func NewIntermediateRequest(td spiffeid.TrustDomain, signer crypto.Signer) ([]byte, error) {
	keyID, err := subjectKeyID(signer.Public())
	if err != nil {
		return nil, fmt.Errorf("new intermediate request: %w", err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "Pando intermediate " + hex.EncodeToString(keyID[:8])},
		URIs:    []*url.URL{td.ID().URL()},
	}, signer)
	if err != nil {
		return nil, fmt.Errorf("new intermediate request: %w", err)
	}
	return der, nil
}

// ParseIntermediateRequest reads what NewIntermediateRequest made, as [ParseCSR] does, and
// returns the key. It refuses a request for another trust domain, or for a leaf.
func ParseIntermediateRequest(data []byte, td spiffeid.TrustDomain) (crypto.PublicKey, error) {
	csr, err := ParseCSR(data)
	if err != nil {
		return nil, err
	}
	switch {
	case csr.ID != td.ID():
		return nil, fmt.Errorf("certificate request: asks for SPIFFE ID %q, want %s: it is not that of an intermediate of this trust domain", csr.ID, td.ID())
	case len(csr.DNSNames) > 0:
		return nil, errors.New("certificate request: asks for DNS names, which an intermediate has not")
	}
	return csr.PublicKey, nil
}
