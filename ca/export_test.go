package ca

import (
	"crypto"
	"crypto/x509"
)

// Compare and CompareCRL are what Sign and NewCRL ask of what was signed before they let it go.
var (
	Compare    = compare
	CompareCRL = compareCRL
)

// CRLTemplate is what NewCRL hands to the standard library.
func CRLTemplate(cfg *CRLConfig) (template *x509.RevocationList, err error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return cfg.template()
}

// AuthorityWith is an authority whose key is whatever signs.
func AuthorityWith(cert *x509.Certificate, signer crypto.Signer) *Authority {
	return &Authority{id: AuthorityID(cert), cert: cert, signer: signer}
}
