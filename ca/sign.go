package ca

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// Sign signs leaf, which must fit under the authority: the same trust domain, and a validity
// period inside the authority's. Nothing is ever clamped to fit.
//
// The certificate that is returned has been parsed again and agrees with leaf in every
// field, carries no other extension, and bears a signature that was verified against the
// authority's certificate: a signer that answers with garbage, or with the signature of
// another key, is an error and never a certificate.
func (a *Authority) Sign(leaf Leaf) (*Certificate, error) {
	if err := a.admits(&leaf); err != nil {
		return nil, fmt.Errorf("sign leaf: %w", err)
	}
	serial, err := NewSerial(rand.Reader, leaf.NotAfter)
	if err != nil {
		return nil, fmt.Errorf("sign leaf: %w", err)
	}
	template, err := a.template(&leaf, serial)
	if err != nil {
		return nil, fmt.Errorf("sign leaf: %w", err)
	}
	// CreateCertificate verifies the signature with the signer's public key, and that this
	// key is the one in the authority's certificate.
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, leaf.PublicKey, a.signer)
	if err != nil {
		return nil, fmt.Errorf("sign leaf: %w", err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("sign leaf: parse back: %w", err)
	}
	if err := compare(cert, template, a.cert, leaf.PublicKey); err != nil {
		return nil, fmt.Errorf("sign leaf: signed certificate %w", err)
	}
	chain := make([][]byte, 0, 1+len(a.chain))
	chain = append(append(chain, der), a.chain...)
	return &Certificate{Serial: serial, Raw: der, Leaf: cert, Issuer: a.id, Chain: chain}, nil
}

// admits reports why the authority may not sign leaf.
func (a *Authority) admits(leaf *Leaf) error {
	if a.role != RoleIntermediate || a.state != StateActive {
		return fmt.Errorf("authority %s is %s %s; only the active intermediate signs", a.id, a.state, a.role)
	}
	if a.signer == nil {
		return fmt.Errorf("key of authority %s is not at hand", a.id)
	}
	if _, err := KeyAlgorithmOf(leaf.PublicKey); err != nil {
		return err
	}
	switch {
	case !leaf.ID.MemberOf(a.trustDomain):
		return fmt.Errorf("SPIFFE ID %q is not in trust domain %s", leaf.ID, a.trustDomain)
	case leaf.ID.Path() == "":
		return fmt.Errorf("SPIFFE ID %q has no path", leaf.ID)
	case leaf.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0:
		return errors.New("key usage of a leaf cannot include keyCertSign or cRLSign")
	case !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth), !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth):
		return errors.New("extended key usage lacks serverAuth or clientAuth") // X509-SVID, section 4.4
	case slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageAny), slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
		return errors.New("extended key usage of a leaf cannot include anyExtendedKeyUsage or OCSPSigning")
	}
	if err := validNames(leaf); err != nil {
		return err
	}
	return a.covers(leaf.NotBefore, leaf.NotAfter)
}

func validNames(leaf *Leaf) error {
	for i, name := range leaf.DNSNames {
		if err := ValidDNSName(name); err != nil {
			return err
		}
		if slices.Contains(leaf.DNSNames[:i], name) {
			return fmt.Errorf("DNS name %q stands twice", name)
		}
	}
	if len(leaf.Organization) > 1 {
		return errors.New("more than one organisation")
	}
	for _, name := range leaf.Organization {
		if err := ValidOrganization(name); err != nil {
			return err
		}
	}
	return nil
}

// covers reports why a leaf of this validity period does not fit under the authority.
func (a *Authority) covers(notBefore, notAfter time.Time) error {
	switch {
	case notBefore.Nanosecond() != 0 || notAfter.Nanosecond() != 0:
		return errors.New("validity period is not in whole seconds")
	case !notBefore.Before(notAfter):
		return errors.New("validity period is empty")
	case notBefore.Before(a.cert.NotBefore):
		return fmt.Errorf("notBefore %s is before the issuer's %s", rfc3339(notBefore), rfc3339(a.cert.NotBefore))
	case notAfter.After(a.cert.NotAfter):
		return fmt.Errorf("notAfter %s is after the issuer's %s", rfc3339(notAfter), rfc3339(a.cert.NotAfter))
	}
	return nil
}

// template is the one place where a leaf certificate takes shape.
func (a *Authority) template(leaf *Leaf, serial Serial) (*x509.Certificate, error) {
	keyID, err := subjectKeyID(leaf.PublicKey)
	if err != nil {
		return nil, err
	}
	usage := leaf.KeyUsage
	if usage == 0 {
		usage = x509.KeyUsageDigitalSignature
	}
	return &x509.Certificate{
		SerialNumber:          serial.Int(),
		Subject:               pkix.Name{Organization: leaf.Organization},
		NotBefore:             leaf.NotBefore.UTC(),
		NotAfter:              leaf.NotAfter.UTC(),
		KeyUsage:              usage,
		ExtKeyUsage:           leaf.ExtKeyUsage,
		BasicConstraintsValid: true, // and IsCA false
		SubjectKeyId:          keyID,
		AuthorityKeyId:        a.cert.SubjectKeyId,
		IssuingCertificateURL: a.issuerURLs,
		CRLDistributionPoints: a.crlURLs[serial.Shard(len(a.crlURLs))],
		DNSNames:              leaf.DNSNames,
		URIs:                  []*url.URL{leaf.ID.URL()}, // critical while the subject is empty
	}, nil
}
