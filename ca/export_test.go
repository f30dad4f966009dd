package ca

import "crypto/x509"

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
