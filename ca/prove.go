package ca

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
)

// Prove signs with the authority's key, and verifies the signature under its certificate: whether
// the key is within reach, works, and is the right one. What is signed is a request that is
// thrown away. It takes as long as issuing a certificate.
func (a *Authority) Prove() error {
	if a.signer == nil {
		return fmt.Errorf("key of authority %s is not at hand", a.id)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, a.signer)
	if err != nil {
		return fmt.Errorf("sign with the key of authority %s: %w", a.id, err)
	}
	request, err := x509.ParseCertificateRequest(der)
	if err == nil {
		err = request.CheckSignature()
	}
	if err == nil && !bytes.Equal(request.RawSubjectPublicKeyInfo, a.cert.RawSubjectPublicKeyInfo) {
		err = errors.New("it is not the key of the certificate")
	}
	if err != nil {
		return fmt.Errorf("signature with the key of authority %s: %w", a.id, err)
	}
	return nil
}
