package ca

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// Leaf is what a leaf certificate is to say. It is the only thing that [Authority.Sign]
// takes: what is not here cannot get into a certificate.
type Leaf struct {
	PublicKey    crypto.PublicKey
	ID           spiffeid.ID        // the URI SAN; required, with a path
	DNSNames     []string           // DNS SANs, each once, and as [ValidDNSName] wants it
	Organization []string           // subject O, at most one; without it the subject is empty
	KeyUsage     x509.KeyUsage      // 0 means digitalSignature
	ExtKeyUsage  []x509.ExtKeyUsage // at least serverAuth and clientAuth
	NotBefore    time.Time          // whole seconds
	NotAfter     time.Time          // whole seconds; not after the issuer's
}

// Certificate is a signed leaf with all that its holder needs to present it. It is shared:
// do not modify it.
type Certificate struct {
	Serial Serial
	Raw    []byte            // DER
	Leaf   *x509.Certificate // Raw, parsed
	Issuer string            // authority ID
	Chain  [][]byte          // DER, the leaf first, then intermediates; never the root
}

// maxOrganization is the greatest length of an organisation in characters (RFC 5280,
// appendix A.1, ub-organization-name).
const maxOrganization = 64

// ValidOrganization returns an error unless name can stand as the organisation of a subject.
func ValidOrganization(name string) error {
	switch n := utf8.RuneCountInString(name); {
	case !utf8.ValidString(name):
		return errors.New("organisation is not UTF-8")
	case n == 0 || n > maxOrganization:
		return fmt.Errorf("organisation has %d characters, want 1 to %d", n, maxOrganization)
	case strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("organisation holds control characters")
	case strings.TrimSpace(name) != name:
		return errors.New("organisation begins or ends with a space")
	}
	return nil
}
