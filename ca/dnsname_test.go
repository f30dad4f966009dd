package ca_test

import (
	"strings"
	"testing"

	"github.com/pando-ca/pando/ca"
)

func TestValidDNSName(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		ok   bool
	}{
		"a host":                     {"web.example.org", true},
		"one label":                  {"localhost", true},
		"digits and hyphens":         {"a-1.2b.example", true},
		"an A-label":                 {"xn--exmple-cua.org", true},
		"a label of 63":              {strings.Repeat("a", 63) + ".org", true},
		"253 octets":                 {dnsOf(253), true},
		"a wildcard":                 {"*.example.org", true},
		"254 octets":                 {dnsOf(254), false},
		"a label of 64":              {strings.Repeat("a", 64) + ".org", false},
		"nothing":                    {"", false},
		"a dot":                      {".", false},
		"a leading dot":              {".example.org", false},
		"a trailing dot":             {"example.org.", false},
		"an empty label":             {"a..example.org", false},
		"a NUL":                      {"a\x00.example.org", false},
		"a space":                    {"a b.example.org", false},
		"a newline":                  {"example.org\n", false},
		"upper case":                 {"Example.org", false},
		"beyond ASCII":               {"exämple.org", false},
		"an underscore":              {"_acme.example.org", false},
		"a leading hyphen":           {"-a.example.org", false},
		"a trailing hyphen":          {"a-.example.org", false},
		"a colon":                    {"example.org:443", false},
		"a URI":                      {"https://example.org", false},
		"a bare wildcard":            {"*", false},
		"a wildcard for a whole TLD": {"*.org", false},
		"a wildcard inside":          {"a.*.example.org", false},
		"part of a label":            {"a*.example.org", false},
		"two wildcards":              {"*.*.example.org", false},
		"a wildcard and no label":    {"*.", false},
		"IPv4":                       {"192.0.2.1", false},
		"IPv4 in short":              {"127.1", false},
		"a number":                   {"2130706433", false},
		"IPv6":                       {"2001:db8::1", false},
		"IPv6 in brackets":           {"[2001:db8::1]", false},
		"an escape":                  {"\x1b[31m.example.org", false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := ca.ValidDNSName(tt.text); (err == nil) != tt.ok {
				t.Errorf("ValidDNSName(%q) = %v, want accepted %t", tt.text, err, tt.ok)
			}
		})
	}
}

func dnsOf(n int) string {
	name := strings.Repeat("a.", n/2)[:n-1] + "a"
	return strings.ReplaceAll(name, "..", "a.")
}
