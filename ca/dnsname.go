package ca

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// The limits of RFC 1035, section 2.3.4, for names in their textual form.
const (
	maxDNSName  = 253
	maxDNSLabel = 63
)

// ValidDNSName returns an error unless name can stand as a DNS SAN: labels of letters,
// digits and inner hyphens (RFC 5280, section 4.2.1.6; RFC 1123, section 2.1), in lower
// case, without a trailing dot, and not an IP address in disguise. The leftmost label may be
// "*" (RFC 6125, section 6.4.3) when at least two labels follow; whether a wildcard is
// allowed is for policy to say. Internationalised names stand in their A-label form.
func ValidDNSName(name string) error {
	if err := validDNSName(name); err != nil {
		return fmt.Errorf("DNS name %s: %w", quoted(name), err)
	}
	return nil
}

func validDNSName(name string) error {
	if name == "" {
		return errors.New("is empty")
	}
	if len(name) > maxDNSName {
		return fmt.Errorf("is longer than %d octets", maxDNSName)
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return errors.New("is an IP address")
	}
	host := name
	if rest, ok := strings.CutPrefix(name, "*."); ok {
		if !strings.Contains(rest, ".") {
			return errors.New("wildcard covers a whole top-level domain")
		}
		host = rest
	}
	numeric := false
	for label := range strings.SplitSeq(host, ".") {
		if err := validDNSLabel(label); err != nil {
			return err
		}
		numeric = strings.Trim(label, "0123456789") == ""
	}
	if numeric { // the last label: no top-level domain is a number, but 127.1 is an address
		return errors.New("ends in a number, as an IP address does")
	}
	return nil
}

func validDNSLabel(label string) error {
	switch {
	case label == "":
		return errors.New("has an empty label")
	case len(label) > maxDNSLabel:
		return fmt.Errorf("has a label of more than %d octets", maxDNSLabel)
	case label[0] == '-' || label[len(label)-1] == '-':
		return errors.New("has a label that begins or ends with a hyphen")
	}
	for i := range len(label) {
		if !dnsChar(label[i]) {
			return fmt.Errorf("holds %q; only a-z, 0-9 and '-' are allowed", label[i])
		}
	}
	return nil
}

func dnsChar(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-'
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
