package spiffeid

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// MaxIDLength is the greatest length of a SPIFFE ID in octets (SPIFFE ID, section 2.3).
const MaxIDLength = 2048

const prefix = "spiffe://"

// ID is a SPIFFE ID, such as "spiffe://example.org/ns/prod/sa/web". The zero value is none.
type ID struct {
	text   string // the whole URI
	pathAt int    // where the path begins in text
}

// Parse parses a SPIFFE ID in its one textual form (SPIFFE ID, section 2).
func Parse(s string) (ID, error) {
	id, err := parse(s)
	if err != nil {
		return ID{}, fmt.Errorf("SPIFFE ID %s: %w", quoted(s), err)
	}
	return id, nil
}

func parse(s string) (ID, error) {
	if len(s) > MaxIDLength {
		return ID{}, fmt.Errorf("is longer than %d octets", MaxIDLength)
	}
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return ID{}, errors.New("does not begin with spiffe://")
	}
	name, path := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		name, path = rest[:i], rest[i:]
	}
	if err := validTrustDomain(name); err != nil {
		return ID{}, fmt.Errorf("trust domain %w", err)
	}
	if err := validPath(path); err != nil {
		return ID{}, err
	}
	return ID{text: s, pathAt: len(prefix) + len(name)}, nil
}

// FromURI returns the SPIFFE ID that u is. It judges the text of u, so a URI that only
// becomes valid by decoding or normalising is refused.
func FromURI(u *url.URL) (ID, error) {
	if u == nil {
		return ID{}, errors.New("SPIFFE ID: no URI")
	}
	return Parse(u.String())
}

// FromCertificate returns the SPIFFE ID of a certificate, which is its one URI SAN
// (X509-SVID, section 2). A certificate with none or with several is refused.
func FromCertificate(cert *x509.Certificate) (ID, error) {
	if n := len(cert.URIs); n != 1 {
		return ID{}, fmt.Errorf("certificate has %d URI SANs, want exactly 1", n)
	}
	return FromURI(cert.URIs[0])
}

// Join returns the ID of td with a path of the given segments, each a single segment that
// [ValidSegment] accepts: no segment can add another or climb out of its place. Without
// segments it returns td.ID().
func Join(td TrustDomain, segments ...string) (ID, error) {
	if td.IsZero() {
		return ID{}, errors.New("SPIFFE ID: no trust domain")
	}
	size := len(prefix) + len(td.name)
	for _, s := range segments {
		if err := ValidSegment(s); err != nil {
			return ID{}, fmt.Errorf("SPIFFE ID of trust domain %s: %w", td, err)
		}
		size += 1 + len(s)
	}
	if size > MaxIDLength {
		return ID{}, fmt.Errorf("SPIFFE ID of trust domain %s is longer than %d octets", td, MaxIDLength)
	}
	var b strings.Builder
	b.Grow(size)
	b.WriteString(prefix)
	b.WriteString(td.name)
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(s)
	}
	return ID{text: b.String(), pathAt: len(prefix) + len(td.name)}, nil
}

// String returns the ID as a URI, or "" for the zero value.
func (id ID) String() string { return id.text }

// MarshalText writes what String returns, for JSON and for logs.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.text), nil }

// IsZero reports whether id is none.
func (id ID) IsZero() bool { return id.text == "" }

// TrustDomain returns the trust domain of the ID, zero for the zero ID.
func (id ID) TrustDomain() TrustDomain {
	if id.IsZero() {
		return TrustDomain{}
	}
	return TrustDomain{name: id.text[len(prefix):id.pathAt]}
}

// Path returns the path with its leading slash, or "" for the ID of a trust domain.
func (id ID) Path() string { return id.text[id.pathAt:] }

// MemberOf reports whether id belongs to td. The zero ID belongs to none.
func (id ID) MemberOf(td TrustDomain) bool { return !id.IsZero() && id.TrustDomain() == td }

// URL returns a new URL of the ID, or nil for the zero ID.
func (id ID) URL() *url.URL {
	if id.IsZero() {
		return nil
	}
	return &url.URL{Scheme: "spiffe", Host: id.TrustDomain().name, Path: id.Path()}
}

// ValidSegment returns an error unless s is one whole segment of a SPIFFE ID path
// (SPIFFE ID, section 2.2).
func ValidSegment(s string) error {
	switch s {
	case "":
		return errors.New("path segment is empty")
	case ".", "..":
		return fmt.Errorf("path segment %q is relative", s)
	}
	for i := range len(s) {
		if !segmentChar(s[i]) {
			return fmt.Errorf("path segment %s holds %q; only letters, digits, '.', '-' and '_' are allowed", quoted(s), s[i])
		}
	}
	return nil
}

func validPath(path string) error {
	if path == "" {
		return nil
	}
	if path[len(path)-1] == '/' {
		return errors.New("ends with a slash")
	}
	for segment := range strings.SplitSeq(path[1:], "/") {
		if err := ValidSegment(segment); err != nil {
			return err
		}
	}
	return nil
}

func segmentChar(c byte) bool {
	return trustDomainChar(c) || 'A' <= c && c <= 'Z'
}

// quoted makes outside text safe for an error message: escaped, and cut to a length that a
// log line can bear.
func quoted(s string) string {
	const most = 80
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "…"
	}
	return strconv.QuoteToASCII(s)
}
