package spiffeid

import (
	"errors"
	"fmt"
)

// MaxTrustDomainLength is the greatest length of a trust domain name in octets (SPIFFE ID,
// section 2.3).
const MaxTrustDomainLength = 255

// TrustDomain is the name of a trust domain, such as "example.org": the set of identities
// that one set of roots vouches for. The zero value names none.
type TrustDomain struct {
	name string
}

// ParseTrustDomain parses the name of a trust domain (SPIFFE ID, section 2.1). It takes the
// name alone, not a URI.
func ParseTrustDomain(name string) (TrustDomain, error) {
	if err := validTrustDomain(name); err != nil {
		return TrustDomain{}, fmt.Errorf("trust domain %s: %w", quoted(name), err)
	}
	return TrustDomain{name: name}, nil
}

// String returns the name, or "" for the zero value.
func (td TrustDomain) String() string { return td.name }

// IsZero reports whether td names no trust domain.
func (td TrustDomain) IsZero() bool { return td.name == "" }

// ID returns the SPIFFE ID of the trust domain itself, which has no path and which only
// certificate authorities carry (SPIFFE ID, section 3.1). It returns the zero ID for the
// zero trust domain.
func (td TrustDomain) ID() ID {
	if td.IsZero() {
		return ID{}
	}
	return ID{text: prefix + td.name, pathAt: len(prefix) + len(td.name)}
}

func validTrustDomain(name string) error {
	if name == "" {
		return errors.New("is empty")
	}
	if len(name) > MaxTrustDomainLength {
		return fmt.Errorf("is longer than %d octets", MaxTrustDomainLength)
	}
	for i := range len(name) {
		if !trustDomainChar(name[i]) {
			return fmt.Errorf("holds %q; only a-z, 0-9, '.', '-' and '_' are allowed", name[i])
		}
	}
	return nil
}

func trustDomainChar(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '-' || c == '_'
}
