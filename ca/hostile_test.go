package ca_test

import (
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/pando-ca/pando/ca"
)

// TestTwentyThousandNamesInOneRequest packs as many names as can be into a request that is not
// too large: names of one octet.
func TestTwentyThousandNamesInOneRequest(t *testing.T) {
	der := withNames(t, slices.Repeat([]asn1.RawValue{dns("a")}, 20_000)...).der(t)
	if len(der) > ca.MaxCSRSize {
		t.Fatalf("the request has %d octets", len(der))
	}
	_, err := ca.ParseCSR(der)
	var bad *ca.CSRError
	if !errors.As(err, &bad) || bad.Defect != ca.DefectTooManyNames {
		t.Errorf("the answer is %v", err)
	}
}

// TestNoMalformedIDInARequest asks for each kind of SPIFFE ID that is none, as the URI of a
// request.
func TestNoMalformedIDInARequest(t *testing.T) {
	for _, id := range []string{
		"spiffe://example.org/", "spiffe://[::1]/a", "spiffe://example.org:80/a", "spiffe://u@example.org/a",
		"spiffe://Example.org/a", "SPIFFE://example.org/a", "spiffe://example.org/a?x=1", "spiffe://example.org/a?",
		"spiffe://example.org/a#f", "spiffe://example.org/a#", "spiffe://example.org/a%20b", "spiffe://example.org/%2e%2e/b",
		"spiffe://example.org/a//b", "spiffe://example.org/a/../b", "spiffe://example.org/a/./b", "spiffe://example.org/.",
		"spiffe://example.org/a/", "spiffe://example.org/é", "spiffe://example.org/a~b", "spiffe://example.org/a:b",
		"spiffe://example.org/*", "spiffe://*.example.org/a", "spiffe:///a", "spiffe://", "spiffe:/x", "spiffe:x", "",
		"https://example.org/a", "spiffe://example.org/a b", "spiffe://example.org/a\n", "spiffe://example.org/a\x00b",
		`spiffe://example.org\a`, " spiffe://example.org/a", "spiffe://example.org/" + strings.Repeat("a", 2048),
		"spiffe://" + strings.Repeat("a", 256) + "/a",
	} {
		_, err := ca.ParseCSR(withNames(t, uri(id)).der(t))
		var bad *ca.CSRError
		// The parser of the standard library refuses some of them by itself.
		if !errors.As(err, &bad) || bad.Defect != ca.DefectURI && bad.Defect != ca.DefectMalformed {
			t.Errorf("%.80q gives %v", id, err)
		}
	}
}
