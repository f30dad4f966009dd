package ca

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// Extensions that Pando writes or reads (RFC 5280, section 4.2).
var (
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidSubjectAltName   = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidNameConstraints  = asn1.ObjectIdentifier{2, 5, 29, 30}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
)

// compare reports how a signed certificate differs from the template that it was made of.
// Both come from the same library, so a difference means that memory, the library or the
// caller is at fault: whichever it is, the certificate must not leave.
func compare(cert, template, issuer *x509.Certificate, pub crypto.PublicKey) error {
	switch {
	case cert.SerialNumber.Cmp(template.SerialNumber) != 0:
		return errors.New("has another serial number")
	case !bytes.Equal(cert.RawIssuer, issuer.RawSubject):
		return errors.New("has another issuer")
	case !slices.Equal(cert.Subject.Organization, template.Subject.Organization),
		len(cert.Subject.Names) != len(template.Subject.Organization):
		return errors.New("has another subject")
	case !cert.NotBefore.Equal(template.NotBefore), !cert.NotAfter.Equal(template.NotAfter):
		return errors.New("has another validity period")
	case !samePublicKey(cert.PublicKey, pub):
		return errors.New("has another public key")
	}
	return compareExtensions(cert, template, issuer)
}

func compareExtensions(cert, template, issuer *x509.Certificate) error {
	switch {
	case cert.KeyUsage != template.KeyUsage:
		return errors.New("has another key usage")
	case !slices.Equal(cert.ExtKeyUsage, template.ExtKeyUsage), len(cert.UnknownExtKeyUsage) > 0:
		return errors.New("has another extended key usage")
	case !cert.BasicConstraintsValid, cert.IsCA:
		return errors.New("has other basic constraints")
	case !bytes.Equal(cert.SubjectKeyId, template.SubjectKeyId):
		return errors.New("has another subject key identifier")
	case !bytes.Equal(cert.AuthorityKeyId, issuer.SubjectKeyId):
		return errors.New("has another authority key identifier")
	case !slices.Equal(cert.IssuingCertificateURL, template.IssuingCertificateURL), len(cert.OCSPServer) > 0:
		return errors.New("has another authority information access")
	case !slices.Equal(cert.CRLDistributionPoints, template.CRLDistributionPoints):
		return errors.New("has another CRL distribution point")
	case !slices.EqualFunc(cert.URIs, template.URIs, sameURI):
		return errors.New("has another URI")
	case !slices.Equal(cert.DNSNames, template.DNSNames):
		return errors.New("has other DNS names")
	case len(cert.IPAddresses) > 0, len(cert.EmailAddresses) > 0:
		return errors.New("has names of another kind")
	}
	return compareExtensionList(cert, template)
}

// compareExtensionList leaves no room for an extension that nobody asked for. The fields
// that were compared account for six extensions and two optional ones.
func compareExtensionList(cert, template *x509.Certificate) error {
	want := 6
	if len(template.IssuingCertificateURL) > 0 {
		want++
	}
	if len(template.CRLDistributionPoints) > 0 {
		want++
	}
	if len(cert.Extensions) != want {
		return fmt.Errorf("has %d extensions, want %d", len(cert.Extensions), want)
	}
	for _, e := range cert.Extensions {
		critical := e.Id.Equal(oidKeyUsage) || e.Id.Equal(oidBasicConstraints) ||
			e.Id.Equal(oidSubjectAltName) && len(template.Subject.Organization) == 0
		if e.Critical != critical {
			return fmt.Errorf("has extension %s with critical %t, want %t", e.Id, e.Critical, critical)
		}
	}
	return nil
}

func sameURI(a, b *url.URL) bool { return a.String() == b.String() }

// samePublicKey reports whether both keys are the same; every key type of the standard
// library can tell.
func samePublicKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }
