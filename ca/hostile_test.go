package ca_test

import (
	"encoding/asn1"
	"errors"
	"slices"
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
