package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/spiffeid"
)

// findings is what is wrong with a certificate as a part of a trust domain, in sentences, the
// gravest first. It is pure. A certificate of somebody else's PKI has findings too.
func findings(c *x509.Certificate, now time.Time) []string {
	var found []string
	say := func(wrong bool, format string, args ...any) {
		if wrong {
			found = append(found, fmt.Sprintf(format, args...))
		}
	}
	say(now.After(c.NotAfter), "it has expired")
	say(now.Before(c.NotBefore), "it is not valid yet")
	id, err := spiffeid.FromCertificate(c)
	say(err != nil, "it is no X.509-SVID: %v", err)
	say(len(c.UnhandledCriticalExtensions) > 0, "it has a critical extension that Go does not know: %v", c.UnhandledCriticalExtensions)
	if c.IsCA {
		say(err == nil && id.Path() != "", "an authority's SPIFFE ID has no path (X509-SVID, section 3.1)")
		say(c.KeyUsage&x509.KeyUsageCertSign == 0, "an authority without keyCertSign can sign nothing")
		return found
	}
	say(err == nil && id.Path() == "", "a workload's SPIFFE ID has a path (X509-SVID, section 3.1)")
	say(c.KeyUsage&x509.KeyUsageDigitalSignature == 0, "a leaf needs digitalSignature (X509-SVID, section 4.3)")
	say(c.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0, "a leaf must not have keyCertSign or cRLSign (X509-SVID, section 4.3)")
	both := slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	say(!both, "it lacks serverAuth or clientAuth: it serves on one side of mutual TLS at most (X509-SVID, section 4.4)")
	_, ours := ca.SerialOf(c)
	say(!ours, "Pando has not signed it: its serial number does not lead with its end")
	return found
}

// chainFindings is what is wrong between the certificates of a file. A bundle is not a chain.
func chainFindings(chain []*x509.Certificate, key crypto.Signer) []string {
	var found []string
	if key != nil && !matchesKey(chain[0], key) {
		found = append(found, "the key is not that of the first certificate")
	}
	if chain[0].IsCA {
		return found
	}
	for i, c := range chain[1:] {
		if below := chain[i]; !bytes.Equal(below.RawIssuer, c.RawSubject) || below.CheckSignatureFrom(c) != nil {
			found = append(found, fmt.Sprintf("certificate %d was not signed by certificate %d: out of order, or of another chain", i+1, i+2))
		}
		if selfSigned(c) {
			found = append(found, fmt.Sprintf("certificate %d is a root: verifiers have their own, and the chain need not carry it", i+2))
		}
	}
	return found
}

func matchesKey(c *x509.Certificate, key crypto.Signer) bool {
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(c.PublicKey)
}

func selfSigned(c *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignatureFrom(c) == nil
}
