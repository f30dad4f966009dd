package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"io"
	"strings"
)

// describeX509 adds what the certificate itself says and its record does not. It leaves the
// issuer's name out: the number in it is of the issuer's key, and beside the authority ID,
// which is of its certificate, it reads like a contradiction. The record
// comes from the server; a certificate in it that cannot be read is shown as that.
func describeX509(w io.Writer, text string) {
	chain, err := parseCertificates([]byte(text))
	if err != nil {
		fact(w, "Certificate", "cannot be read: "+err.Error())
		return
	}
	leaf := chain[0]
	fact(w, "Subject", leaf.Subject.String())
	fact(w, "Signature", leaf.SignatureAlgorithm.String())
	fact(w, "Usage", usageText(leaf))
	fact(w, "Issuer URL", strings.Join(leaf.IssuingCertificateURL, ", "))
	fact(w, "CRL URL", strings.Join(leaf.CRLDistributionPoints, ", "))
	fact(w, "SHA-256", fingerprintText(leaf))
}

// usageText names the usages by the words of RFC 5280.
func usageText(certificate *x509.Certificate) string {
	var names []string
	if certificate.KeyUsage&x509.KeyUsageDigitalSignature != 0 {
		names = append(names, "digitalSignature")
	}
	if certificate.KeyUsage&x509.KeyUsageKeyEncipherment != 0 {
		names = append(names, "keyEncipherment")
	}
	if certificate.KeyUsage&x509.KeyUsageKeyAgreement != 0 {
		names = append(names, "keyAgreement")
	}
	if certificate.KeyUsage&x509.KeyUsageCertSign != 0 {
		names = append(names, "keyCertSign")
	}
	if certificate.KeyUsage&x509.KeyUsageCRLSign != 0 {
		names = append(names, "cRLSign")
	}
	for _, usage := range certificate.ExtKeyUsage {
		switch usage {
		case x509.ExtKeyUsageServerAuth:
			names = append(names, "serverAuth")
		case x509.ExtKeyUsageClientAuth:
			names = append(names, "clientAuth")
		default:
			names = append(names, fmt.Sprintf("extended usage %d", usage))
		}
	}
	for _, oid := range certificate.UnknownExtKeyUsage {
		names = append(names, oid.String())
	}
	return strings.Join(names, ", ")
}

// fingerprintText is the SHA-256 of the DER form, as openssl x509 -fingerprint prints it.
func fingerprintText(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	var b bytes.Buffer
	for i, octet := range sum {
		if i > 0 {
			b.WriteByte(':')
		}
		fmt.Fprintf(&b, "%02X", octet)
	}
	return b.String()
}
