package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pando-ca/pando/ca/policy"
)

// TestEntriesAreBounded makes entries that would cost more than they are worth: no certificate
// could carry their names, and each JWT would be held against all their claims.
func TestEntriesAreBounded(t *testing.T) {
	td := id(t, "spiffe://example.org/x").TrustDomain()
	spec := func(names, claims int) policy.EntrySpec {
		s := policy.EntrySpec{ID: "e", SPIFFEID: "spiffe://example.org/x", Method: policy.MethodJWT, Issuer: "ci", Profile: "workload", Claims: map[string]string{}}
		for i := range names {
			s.DNSNames = append(s.DNSNames, fmt.Sprintf("w%d.example.org", i))
		}
		for i := range claims {
			s.Claims[fmt.Sprintf("claim%d", i)] = "x"
		}
		return s
	}
	if _, err := policy.ParseEntry(spec(100, 64), td); err != nil {
		t.Errorf("100 names and 64 claims: %v", err)
	}
	for _, s := range []policy.EntrySpec{spec(101, 1), spec(0, 65)} {
		if _, err := policy.ParseEntry(s, td); err == nil {
			t.Errorf("%d names and %d claims are accepted", len(s.DNSNames), len(s.Claims))
		}
	}
	for _, text := range []string{"a\x00b", "a\nb", "\x1b[31m", "a\u009bb", "\xff"} {
		name, value := spec(0, 1), spec(0, 1)
		name.Claims[text], value.Claims["sub"] = "x", text
		for _, s := range []policy.EntrySpec{name, value} {
			if _, err := policy.ParseEntry(s, td); err == nil {
				t.Errorf("the claims %q are accepted", s.Claims)
			}
		}
	}
}

// TestManyNamesAreRefusedUnread asks, as an administrator who may name any, for more DNS names
// than a certificate has. They are counted before they are sorted and read.
func TestManyNamesAreRefusedUnread(t *testing.T) {
	f := newFixture(t)
	in := f.input(t, policy.Caller{Method: policy.MethodJWT, Role: policy.RoleOperator}, "spiffe://example.org/x")
	for n, name := range map[int]string{101: "w%d.example.org", 201: "no name %d", 50_000: "no name %d"} {
		in.Want.DNSNames = nil
		for i := range n {
			in.Want.DNSNames = append(in.Want.DNSNames, fmt.Sprintf(name, i))
		}
		_, err := policy.Decide(in)
		var denial *policy.Denial
		if !errors.As(err, &denial) || denial.Rule != policy.RuleDNSName || !strings.Contains(denial.Reason, "exceed the limit") {
			t.Errorf("%d names give %v", n, err)
		}
	}
}
