package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// MaxSkew is how far NotBefore of a leaf may lie before the moment of its issue, for the
// sake of verifiers whose clocks are slow. Certificates of authorities are backdated by it,
// so that a leaf can be issued in the first second of its issuer.
const MaxSkew = time.Minute

// RootConfig is what a new root is made of.
type RootConfig struct {
	TrustDomain  spiffeid.TrustDomain
	Signer       crypto.Signer // the root's own key; P-384 is recommended
	NotBefore    time.Time     // first use; the certificate begins MaxSkew earlier
	NotAfter     time.Time
	Organization string // subject O; may be empty, at most 64 characters
}

// NewRoot makes a self-signed root certificate (X509-SVID, section 3.2).
func NewRoot(cfg RootConfig) (*x509.Certificate, error) {
	if cfg.Signer == nil {
		return nil, errors.New("new root: signer is missing")
	}
	template, err := authorityTemplate("root", cfg.TrustDomain, cfg.Signer.Public(), cfg.NotBefore, cfg.NotAfter)
	if err != nil {
		return nil, fmt.Errorf("new root: %w", err)
	}
	if cfg.Organization != "" {
		if err := ValidOrganization(cfg.Organization); err != nil {
			return nil, fmt.Errorf("new root: %w", err)
		}
		template.Subject.Organization = []string{cfg.Organization}
	}
	template.MaxPathLen = -1 // absent: a cross-certificate may stand between root and intermediate
	root, err := signAuthority(template, template, cfg.Signer.Public(), cfg.Signer)
	if err != nil {
		return nil, fmt.Errorf("new root: %w", err)
	}
	return root, nil
}

// IntermediateConfig is what a new intermediate is made of.
type IntermediateConfig struct {
	TrustDomain  spiffeid.TrustDomain
	PublicKey    crypto.PublicKey // the intermediate's key; P-256 is recommended
	Parent       *x509.Certificate
	ParentSigner crypto.Signer
	NotBefore    time.Time // first use; the certificate begins MaxSkew earlier
	NotAfter     time.Time // not after the parent's
	URLs         URLs
}

// NewIntermediate makes an intermediate certificate that may sign leaves only
// (X509-SVID, section 3.2). It bears the organisation of its parent.
func NewIntermediate(cfg IntermediateConfig) (*x509.Certificate, error) {
	if cfg.Parent == nil || cfg.ParentSigner == nil {
		return nil, errors.New("new intermediate: parent or its signer is missing")
	}
	if err := cfg.URLs.Validate(); err != nil {
		return nil, fmt.Errorf("new intermediate: %w", err)
	}
	template, err := authorityTemplate("intermediate", cfg.TrustDomain, cfg.PublicKey, cfg.NotBefore, cfg.NotAfter)
	if err != nil {
		return nil, fmt.Errorf("new intermediate: %w", err)
	}
	if err := checkAuthority(cfg.Parent, cfg.TrustDomain); err != nil {
		return nil, fmt.Errorf("new intermediate: parent %w", err)
	}
	if template.NotBefore.Before(cfg.Parent.NotBefore) || template.NotAfter.After(cfg.Parent.NotAfter) {
		return nil, fmt.Errorf("new intermediate: validity %s to %s does not lie within the parent's, %s to %s",
			rfc3339(template.NotBefore), rfc3339(template.NotAfter), rfc3339(cfg.Parent.NotBefore), rfc3339(cfg.Parent.NotAfter))
	}
	template.Subject.Organization = cfg.Parent.Subject.Organization
	template.MaxPathLenZero = true
	template.AuthorityKeyId = cfg.Parent.SubjectKeyId
	template.IssuingCertificateURL, template.CRLDistributionPoints = cfg.URLs.ofRoot(cfg.Parent)
	cert, err := signAuthority(template, cfg.Parent, cfg.PublicKey, cfg.ParentSigner)
	if err != nil {
		return nil, fmt.Errorf("new intermediate: %w", err)
	}
	return cert, nil
}

// authorityTemplate holds what roots and intermediates have in common. The common name
// carries the start of the key identifier, so that no two authorities share a name and path
// building never has to guess.
func authorityTemplate(kind string, td spiffeid.TrustDomain, pub crypto.PublicKey, notBefore, notAfter time.Time) (*x509.Certificate, error) {
	if td.IsZero() {
		return nil, errors.New("trust domain is missing")
	}
	if _, err := KeyAlgorithmOf(pub); err != nil {
		return nil, err
	}
	keyID, err := subjectKeyID(pub)
	if err != nil {
		return nil, err
	}
	notBefore = notBefore.UTC().Truncate(time.Second).Add(-MaxSkew)
	notAfter = notAfter.UTC().Truncate(time.Second)
	if !notBefore.Add(MaxSkew).Before(notAfter) {
		return nil, errors.New("validity period is empty")
	}
	serial, err := NewSerial(rand.Reader, notAfter)
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber:          serial.Int(),
		Subject:               pkix.Name{CommonName: "Pando " + kind + " " + hex.EncodeToString(keyID[:8])},
		NotBefore:             notBefore,
		NotAfter:              notAfter,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		SubjectKeyId:          keyID,
		URIs:                  []*url.URL{td.ID().URL()},
	}, nil
}

// signAuthority signs, parses back, and checks that the result would pass as an authority.
func signAuthority(template, parent *x509.Certificate, pub crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, signer)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("parse back: %w", err)
	}
	if parent == template { // a root signs itself
		parent = cert
	}
	if err := cert.CheckSignatureFrom(parent); err != nil {
		return nil, err
	}
	return cert, nil
}

// subjectKeyID is the leftmost 160 bits of the SHA-256 of the public key's BIT STRING
// (RFC 7093, section 2, method 1; RFC 5280, section 4.2.1.2).
func subjectKeyID(pub crypto.PublicKey) ([]byte, error) {
	var bits []byte
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		var err error
		if bits, err = pub.Bytes(); err != nil {
			return nil, fmt.Errorf("key identifier: %w", err)
		}
	case ed25519.PublicKey:
		bits = pub
	case *rsa.PublicKey:
		bits = x509.MarshalPKCS1PublicKey(pub)
	default:
		return nil, fmt.Errorf("key identifier: key type %T is not supported", pub)
	}
	sum := sha256.Sum256(bits)
	return sum[:20], nil
}
