package ca

import (
	"crypto"
	"crypto/x509"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// Leaf is what a leaf certificate is to say. It is the only thing that [Authority.Sign]
// takes: what is not here cannot get into a certificate.
type Leaf struct {
	PublicKey    crypto.PublicKey
	ID           spiffeid.ID        // the URI SAN; required, with a path
	DNSNames     []string           // DNS SANs, each as [ValidDNSName] wants it
	Organization []string           // subject O; without it the subject is empty
	KeyUsage     x509.KeyUsage      // 0 means digitalSignature
	ExtKeyUsage  []x509.ExtKeyUsage // at least one
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
