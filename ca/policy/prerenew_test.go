package policy_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/ca/spiffeid"
)

// TestDecidePreRenewal: Pando renews by itself what the one entry of a certificate asks for, and
// nothing on anybody's word.
func TestDecidePreRenewal(t *testing.T) {
	f := newFixture(t)
	rule := policy.EntrySpec{
		ID: "ent_1", SPIFFEID: "spiffe://example.org/web", Method: policy.MethodJoinToken, Profile: "workload",
		DNSNames: []string{"web.example.org"}, PreRenew: true,
	}
	changed := func(change func(*policy.EntrySpec)) []*policy.Entry {
		spec := rule
		change(&spec)
		return []*policy.Entry{entry(t, spec)}
	}
	asks := []*policy.Entry{entry(t, rule)}
	template := changed(func(s *policy.EntrySpec) {
		s.SPIFFEID, s.Method, s.Issuer, s.Claims = "spiffe://example.org/{sub}", policy.MethodJWT, "ci", map[string]string{"aud": "x"}
	})
	held := policy.Current{ID: id(t, "spiffe://example.org/web"), DNSNames: rule.DNSNames, Profile: "workload", EntryID: "ent_1"}
	granted := outcome{ID: "spiffe://example.org/web", DNSNames: rule.DNSNames, Profile: "workload", Entry: "ent_1", Validity: time.Hour}
	denied := outcome{Rule: policy.RuleNoEntry}
	for name, c := range map[string]struct {
		entries []*policy.Entry
		change  func(*policy.Current)
		want    outcome
	}{
		"its entry asks for it":               {asks, nil, granted},
		"an entry with a claim asks for it":   {template, nil, granted},
		"it holds fewer DNS names":            {asks, func(c *policy.Current) { c.DNSNames = nil }, outcome{ID: granted.ID, Profile: "workload", Entry: "ent_1", Validity: time.Hour}},
		"there is no entry":                   {nil, nil, denied},
		"the entry does not ask for it":       {changed(func(s *policy.EntrySpec) { s.PreRenew = false }), nil, denied},
		"the entry is another one":            {changed(func(s *policy.EntrySpec) { s.ID = "ent_2" }), nil, denied},
		"it was issued under no entry":        {asks, func(c *policy.Current) { c.EntryID = "" }, denied},
		"it has another SPIFFE ID":            {asks, func(c *policy.Current) { c.ID = id(t, "spiffe://example.org/web2") }, denied},
		"it has a DNS name that is not given": {asks, func(c *policy.Current) { c.DNSNames = []string{"web.example.org", "db.example.org"} }, denied},
		"it has another profile":              {asks, func(c *policy.Current) { c.Profile = "server" }, denied},
	} {
		t.Run(name, func(t *testing.T) {
			in := f.input(t, policy.Caller{Method: policy.MethodPreRenew, Serial: ca.Serial{18: 7}})
			current := held
			if c.change != nil {
				c.change(&current)
			}
			in.Current, in.Entries = &current, c.entries
			if diff := cmp.Diff(c.want, decide(t, in)); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("it replaces the certificate that it renews", func(t *testing.T) {
		in := f.input(t, policy.Caller{Method: policy.MethodPreRenew, Serial: ca.Serial{18: 7}})
		in.Current, in.Entries = &held, asks
		grant, err := policy.Decide(in)
		if err != nil || grant.Replaces != (ca.Serial{18: 7}) {
			t.Errorf("%+v, %v", grant, err)
		}
	})
}

func TestSpanHoldsWhatAnEntryGives(t *testing.T) {
	const td = "spiffe://example.org"
	for spiffeID, c := range map[string]struct{ inside, outside []string }{
		td + "/a/b":   {[]string{td + "/a/b"}, []string{td + "/a", td + "/a/b/c", td + "/a/b0", td + "/a/c"}},
		td + "/a/{x}": {[]string{td + "/a/-", td + "/a/..a", td + "/a/zz", td + "/a/z_"}, []string{td + "/a", td + "/a-b", td + "/ab", td + "/b/c"}},
		td + "/{x}/b": {[]string{td + "/-/b", td + "/a/b", td + "/z.z/b"}, []string{td, "spiffe://example.org.a/b", "spiffe://example.orga/b"}},
	} {
		spec := policy.EntrySpec{ID: "ent_1", SPIFFEID: spiffeID, Method: policy.MethodJWT, Issuer: "ci", Claims: map[string]string{"aud": "x"}, Profile: "workload"}
		first, last := entry(t, spec).Span()
		for _, text := range c.inside {
			if _, err := spiffeid.Parse(text); err != nil || text < first || text > last {
				t.Errorf("%s: %s lies outside of %q to %q", spiffeID, text, first, last)
			}
		}
		for _, text := range c.outside {
			if text >= first && text <= last {
				t.Errorf("%s: %s lies inside of %q to %q", spiffeID, text, first, last)
			}
		}
	}
}
