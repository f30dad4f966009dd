package ca

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pando-ca/pando/ca/spiffeid"
)

const (
	// MaxCSRSize is the greatest size of a request in octets, PEM armour included.
	MaxCSRSize = 64 << 10

	// MaxCSRNames is the greatest number of names that a request may ask for.
	MaxCSRNames = 100
)

// CSR is a certificate signing request (PKCS #10, RFC 2986) that has passed [ParseCSR]: its
// sender holds the private key, the key is strong enough, and the names are well-formed.
// Whether the sender may have them is another matter. The subject, the attributes and every
// requested extension but the subject alternative name have been dropped.
type CSR struct {
	PublicKey    crypto.PublicKey
	KeyAlgorithm KeyAlgorithm
	KeyHash      KeyHash
	ID           spiffeid.ID // zero when the request names none
	DNSNames     []string    // lower case, each once, in the order of the request
}

// The defects of a request, in the order in which ParseCSR looks for them. They are stable:
// programs may branch on them.
const (
	DefectEmpty              = "empty"
	DefectTooLarge           = "too_large"
	DefectPEM                = "pem"                 // junk, headers, several blocks, another label
	DefectMalformed          = "malformed"           // not one DER CertificationRequest
	DefectSignatureAlgorithm = "signature_algorithm" // SHA-1, MD5 or unknown
	DefectKey                = "key"                 // kind, size or encoding of the public key
	DefectSignature          = "signature"           // not made with the private key
	DefectTooManyNames       = "too_many_names"
	DefectURI                = "uri" // not a SPIFFE ID, or several URIs
	DefectDNSName            = "dns_name"
	DefectNameType           = "name_type" // IP address, email or another kind of name
)

// CSRError says what is wrong with a request.
type CSRError struct {
	Defect string // one of the Defect constants
	Err    error  // the same in words, for the sender
}

// Error describes the defect.
func (e *CSRError) Error() string { return "certificate request: " + e.Err.Error() }

// Unwrap returns e.Err.
func (e *CSRError) Unwrap() error { return e.Err }

func defect(name, format string, args ...any) *CSRError {
	return &CSRError{Defect: name, Err: fmt.Errorf(format, args...)}
}

// ParseCSR reads a request in DER or in PEM (RFC 7468, section 7, with either label that it
// names) and checks its signature. data must hold the request and nothing else. Every error
// is a [*CSRError]. The cheap checks come first, so that a hostile request costs little:
// no signature is verified with a key that would be refused.
func ParseCSR(data []byte) (*CSR, error) {
	der, bad := csrDER(data)
	if bad != nil {
		return nil, bad
	}
	req, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, &CSRError{DefectMalformed, describeParse(err)}
	}
	if req.Version != 0 {
		return nil, defect(DefectMalformed, "version is %d, want 0", req.Version)
	}
	switch {
	case req.SignatureAlgorithm == x509.UnknownSignatureAlgorithm:
		return nil, defect(DefectSignatureAlgorithm, "signature algorithm is not known")
	case !csrSignatureAllowed(req.SignatureAlgorithm):
		return nil, defect(DefectSignatureAlgorithm, "signature algorithm %s is not accepted", req.SignatureAlgorithm)
	}
	csr := &CSR{PublicKey: req.PublicKey}
	if bad := csr.setKey(req); bad != nil {
		return nil, bad
	}
	if bad := csr.setNames(req.Extensions); bad != nil {
		return nil, bad
	}
	if err := req.CheckSignature(); err != nil {
		return nil, defect(DefectSignature, "signature was not made with the private key of its public key: %w", err)
	}
	return csr, nil
}

// notCSR is the error of a parser that met something else than it knows. What it says
// helps who writes parsers, not who sent the wrong file: it is kept and not shown.
type notCSR struct{ cause error }

func (e notCSR) Error() string {
	return "this is not a well-formed certificate request (PKCS #10, in PEM or DER)"
}

func (e notCSR) Unwrap() error { return e.cause }

// describeParse puts the errors of package asn1 into words.
func describeParse(err error) error {
	var structure asn1.StructuralError
	var syntax asn1.SyntaxError
	if errors.As(err, &structure) || errors.As(err, &syntax) {
		return notCSR{err}
	}
	return err
}

const pemBegin = "-----BEGIN "

// csrDER returns the DER in data. Whatever begins like PEM must be one clean block of it;
// pem.Decode alone skips over anything that it cannot read.
func csrDER(data []byte) ([]byte, *CSRError) {
	switch {
	case len(data) == 0:
		return nil, defect(DefectEmpty, "is empty")
	case len(data) > MaxCSRSize:
		return nil, defect(DefectTooLarge, "is larger than %d octets", MaxCSRSize)
	case !bytes.Contains(data, []byte(pemBegin)):
		return data, nil
	case !bytes.HasPrefix(data, []byte(pemBegin)):
		return nil, defect(DefectPEM, "PEM block does not stand at the beginning")
	case bytes.Count(data, []byte(pemBegin)) > 1:
		return nil, defect(DefectPEM, "more than one PEM block")
	}
	block, rest := pem.Decode(data)
	switch {
	case block == nil:
		return nil, defect(DefectPEM, "PEM block is damaged")
	case block.Type != "CERTIFICATE REQUEST" && block.Type != "NEW CERTIFICATE REQUEST":
		return nil, defect(DefectPEM, "PEM label is %s, want CERTIFICATE REQUEST", quoted(block.Type))
	case len(block.Headers) > 0:
		return nil, defect(DefectPEM, "PEM block has headers")
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, defect(DefectPEM, "data after the PEM block")
	}
	return block.Bytes, nil
}

// csrSignatureAllowed is narrower than crypto/x509, which takes SHA-1 in requests.
func csrSignatureAllowed(algorithm x509.SignatureAlgorithm) bool {
	switch algorithm {
	case x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519,
		x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA,
		x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS:
		return true
	}
	return false
}

// setKey judges the public key. Its encoding must be the canonical one: the parser overlooks
// odd encodings, and a key that has two hashes could slip past a block.
func (c *CSR) setKey(req *x509.CertificateRequest) *CSRError {
	var err error
	if c.KeyAlgorithm, err = KeyAlgorithmOf(req.PublicKey); err != nil {
		return &CSRError{DefectKey, err}
	}
	spki, err := x509.MarshalPKIXPublicKey(req.PublicKey)
	if err != nil {
		return &CSRError{DefectKey, err}
	}
	if !bytes.Equal(spki, req.RawSubjectPublicKeyInfo) {
		return defect(DefectKey, "public key is not in its canonical encoding")
	}
	c.KeyHash = sha256.Sum256(spki)
	return nil
}

// setNames takes the names from the one subject alternative name extension, if there is one;
// the parser has refused a second. It reads the raw names: url.Parse forgets an empty
// fragment, and crypto/x509 skips kinds of name that it does not know.
func (c *CSR) setNames(extensions []pkix.Extension) *CSRError {
	i := slices.IndexFunc(extensions, func(e pkix.Extension) bool { return e.Id.Equal(oidSubjectAltName) })
	if i < 0 {
		return nil
	}
	var names []asn1.RawValue
	if rest, err := asn1.Unmarshal(extensions[i].Value, &names); err != nil || len(rest) > 0 {
		return defect(DefectMalformed, "subject alternative name is not a sequence of names")
	}
	if len(names) > MaxCSRNames {
		return defect(DefectTooManyNames, "asks for %d names, at most %d are allowed", len(names), MaxCSRNames)
	}
	for _, name := range names {
		if bad := c.addName(name); bad != nil {
			return bad
		}
	}
	return nil
}

// The kinds of GeneralName (RFC 5280, section 4.2.1.6).
const (
	tagEmail = 1
	tagDNS   = 2
	tagURI   = 6
	tagIP    = 7
)

func (c *CSR) addName(name asn1.RawValue) *CSRError {
	switch {
	case name.Class != asn1.ClassContextSpecific:
		return defect(DefectMalformed, "subject alternative name holds an element that is not a name")
	case name.Tag == tagURI:
		return c.addURI(string(name.Bytes))
	case name.Tag == tagDNS:
		return c.addDNSName(string(name.Bytes))
	case name.Tag == tagIP:
		return defect(DefectNameType, "asks for an IP address; only a SPIFFE ID and DNS names are issued")
	case name.Tag == tagEmail:
		return defect(DefectNameType, "asks for an email address; only a SPIFFE ID and DNS names are issued")
	}
	return defect(DefectNameType, "asks for a name of kind %d; only a SPIFFE ID and DNS names are issued", name.Tag)
}

func (c *CSR) addURI(uri string) *CSRError {
	if !c.ID.IsZero() {
		return defect(DefectURI, "asks for more than one URI")
	}
	id, err := spiffeid.Parse(uri)
	if err != nil {
		return &CSRError{DefectURI, err}
	}
	c.ID = id
	return nil
}

func (c *CSR) addDNSName(name string) *CSRError {
	name = strings.ToLower(name)
	if err := ValidDNSName(name); err != nil {
		return &CSRError{DefectDNSName, err}
	}
	if !slices.Contains(c.DNSNames, name) {
		c.DNSNames = append(c.DNSNames, name)
	}
	return nil
}
