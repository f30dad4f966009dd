package policy_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/ca/spiffeid"
)

// fixture is what the cases of a test share. Time stands still.
type fixture struct {
	pki      *catest.CA
	now      time.Time
	profiles map[string]*policy.Profile
}

func newFixture(t testing.TB) fixture {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f := fixture{
		pki: catest.New(t, catest.Options{Now: now.Add(-24 * time.Hour)}), now: now,
		profiles: make(map[string]*policy.Profile),
	}
	wild := policy.Profiles()[1]
	wild.Name, wild.WildcardDNSNames = "wild", true
	bare := policy.Profiles()[0]
	bare.Name, bare.DNSNames = "bare", false
	bare.KeyAlgorithms = []ca.KeyAlgorithm{ca.Ed25519}
	for _, p := range append(policy.Profiles(), wild, bare) {
		f.profiles[p.Name] = &p
	}
	return f
}

func (f fixture) csr(t testing.TB, alg ca.KeyAlgorithm, names ...string) *ca.CSR {
	t.Helper()
	_, der := catest.CSR(t, alg, names...)
	csr, err := ca.ParseCSR(der)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func (f fixture) input(t testing.TB, caller policy.Caller, csrNames ...string) policy.Input {
	return policy.Input{
		Caller: caller, CSR: f.csr(t, ca.ECDSAP256, csrNames...), Profiles: f.profiles,
		Set: f.pki.Set(), Now: f.now,
	}
}

func entry(t testing.TB, spec policy.EntrySpec) *policy.Entry {
	t.Helper()
	td, err := spiffeid.ParseTrustDomain("example.org")
	if err != nil {
		t.Fatal(err)
	}
	if spec.Profile == "" {
		spec.Profile = "workload"
	}
	e, err := policy.ParseEntry(spec, td)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func id(t testing.TB, text string) spiffeid.ID {
	t.Helper()
	parsed, err := spiffeid.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func tokenCaller() policy.Caller {
	return policy.Caller{Method: policy.MethodJoinToken, Subject: "tok_1", EntryID: "ent_1"}
}

func jwtCaller(claims map[string]any) policy.Caller {
	return policy.Caller{Method: policy.MethodJWT, Subject: "ci s", Issuer: "ci", Claims: claims}
}

func peerCaller(t testing.TB, spiffeID string, role policy.Role) policy.Caller {
	return policy.Caller{Method: policy.MethodPeer, Subject: spiffeID, ID: id(t, spiffeID), Serial: ca.Serial{18: 7}, Role: role}
}

// outcome is the part of a decision that the tables compare.
type outcome struct {
	ID       string
	DNSNames []string
	Profile  string
	Entry    string
	Validity time.Duration
	Rule     policy.Rule
}

func decide(t testing.TB, in policy.Input) outcome {
	t.Helper()
	grant, err := policy.Decide(in)
	var denial *policy.Denial
	switch {
	case errors.As(err, &denial):
		return outcome{Rule: denial.Rule}
	case err != nil:
		t.Fatalf("the error is no Denial: %v", err)
	}
	if grant.Leaf.PublicKey == nil || len(grant.Leaf.ExtKeyUsage) != 2 {
		t.Errorf("the leaf lacks its key or its usages: %+v", grant.Leaf)
	}
	return outcome{
		ID: grant.Leaf.ID.String(), DNSNames: grant.Leaf.DNSNames, Profile: grant.Profile.Name,
		Entry: grant.EntryID, Validity: grant.Leaf.NotAfter.Sub(grant.Leaf.NotBefore),
	}
}

func TestDecideJoinToken(t *testing.T) {
	f := newFixture(t)
	web := policy.EntrySpec{ID: "ent_1", SPIFFEID: "spiffe://example.org/ns/a/web", Method: policy.MethodJoinToken, DNSNames: []string{"a.example.org", "web.example.org"}}
	granted := outcome{ID: web.SPIFFEID, DNSNames: web.DNSNames, Profile: "workload", Entry: "ent_1", Validity: time.Hour}
	narrowed := granted
	narrowed.DNSNames = []string{"web.example.org"}
	short := granted
	short.Validity = 5 * time.Second

	for name, c := range map[string]struct {
		csrNames []string
		want     policy.Want
		change   func(*policy.Input)
		expect   outcome
	}{
		"a CSR without names gets the identity of the entry":    {expect: granted},
		"a CSR that names exactly that identity gets it":        {csrNames: []string{web.SPIFFEID}, expect: granted},
		"fewer DNS names than allowed are what is asked for":    {csrNames: []string{"web.example.org"}, expect: narrowed},
		"a name in both CSR and request counts once":            {csrNames: []string{"web.example.org"}, want: policy.Want{DNSNames: []string{"web.example.org"}}, expect: narrowed},
		"a shorter duration is granted":                         {want: policy.Want{Duration: 5*time.Second + 300*time.Millisecond}, expect: short},
		"a CSR that names another identity is refused":          {csrNames: []string{"spiffe://example.org/ns/a/db"}, expect: outcome{Rule: policy.RuleIdentity}},
		"a longer path is another identity":                     {csrNames: []string{"spiffe://example.org/ns/a/web/x"}, expect: outcome{Rule: policy.RuleIdentity}},
		"a path that it is a prefix of is another identity":     {csrNames: []string{"spiffe://example.org/ns/a/web2"}, expect: outcome{Rule: policy.RuleIdentity}},
		"another trust domain is another identity":              {csrNames: []string{"spiffe://example.com/ns/a/web"}, expect: outcome{Rule: policy.RuleIdentity}},
		"a request for another identity is refused":             {want: policy.Want{ID: id(t, "spiffe://example.org/x")}, expect: outcome{Rule: policy.RuleIdentity}},
		"a DNS name that the entry lacks is refused":            {csrNames: []string{"b.example.org"}, expect: outcome{Rule: policy.RuleDNSName}},
		"a sub-domain of an allowed name is refused":            {csrNames: []string{"x.a.example.org"}, expect: outcome{Rule: policy.RuleDNSName}},
		"a wildcard over an allowed name is refused":            {csrNames: []string{"*.example.org"}, expect: outcome{Rule: policy.RuleDNSName}},
		"another profile is refused":                            {want: policy.Want{Profile: "server"}, expect: outcome{Rule: policy.RuleProfile}},
		"a duration past the profile's maximum is refused":      {want: policy.Want{Duration: 24*time.Hour + time.Second}, expect: outcome{Rule: policy.RuleDuration}},
		"a negative duration is refused":                        {want: policy.Want{Duration: -time.Hour}, expect: outcome{Rule: policy.RuleDuration}},
		"a duration under a second is refused":                  {want: policy.Want{Duration: time.Millisecond}, expect: outcome{Rule: policy.RuleDuration}},
		"the largest duration is refused, not wrapped":          {want: policy.Want{Duration: 1<<63 - 1}, expect: outcome{Rule: policy.RuleDuration}},
		"a token whose entry is gone is refused":                {change: func(in *policy.Input) { in.Entries = nil }, expect: outcome{Rule: policy.RuleNoEntry}},
		"a token of another entry is refused":                   {change: func(in *policy.Input) { in.Caller.EntryID = "ent_2" }, expect: outcome{Rule: policy.RuleNoEntry}},
		"a profile that is no longer configured is refused":     {change: func(in *policy.Input) { in.Profiles = nil }, expect: outcome{Rule: policy.RuleProfile}},
		"a method that nobody knows gives nothing":              {change: func(in *policy.Input) { in.Caller.Method = "magic" }, expect: outcome{Rule: policy.RuleNoEntry}},
		"an issuer that ends before the certificate signs none": {change: func(in *policy.Input) { in.Now = in.Now.Add(178*24*time.Hour + 23*time.Hour + 2*time.Minute) }, expect: outcome{Rule: policy.RuleDuration}},
	} {
		t.Run(name, func(t *testing.T) {
			in := f.input(t, tokenCaller(), c.csrNames...)
			in.Want, in.Entries = c.want, []*policy.Entry{entry(t, web)}
			if c.change != nil {
				c.change(&in)
			}
			if diff := cmp.Diff(c.expect, decide(t, in)); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecideJWT(t *testing.T) {
	f := newFixture(t)
	k8s := map[string]any{"sub": "system:serviceaccount:shop:web", "kubernetes.io": map[string]any{
		"namespace": "shop", "serviceaccount": map[string]any{"name": "web"},
	}}
	pods := policy.EntrySpec{
		ID: "ent_k8s", SPIFFEID: "spiffe://example.org/ns/{/kubernetes.io/namespace}/sa/{/kubernetes.io/serviceaccount/name}",
		Method: policy.MethodJWT, Issuer: "ci", Claims: map[string]string{"/kubernetes.io/namespace": "shop"},
	}
	bySub := func(value any) map[string]any { return map[string]any{"team": "a", "name": value} }
	named := policy.EntrySpec{
		ID: "ent_named", SPIFFEID: "spiffe://example.org/team/{name}", Method: policy.MethodJWT, Issuer: "ci",
		Claims: map[string]string{"team": "a"},
	}
	first := policy.EntrySpec{
		ID: "ent_first", SPIFFEID: "spiffe://example.org/{name}/x", Method: policy.MethodJWT, Issuer: "ci",
		Claims: map[string]string{"team": "a"},
	}
	other := named
	other.ID, other.SPIFFEID = "ent_other", "spiffe://example.org/other"
	granted := func(id, entry string) outcome {
		return outcome{ID: id, Profile: "workload", Entry: entry, Validity: time.Hour}
	}

	for name, c := range map[string]struct {
		claims  map[string]any
		entries []policy.EntrySpec
		want    policy.Want
		expect  outcome
	}{
		"nested claims fill whole segments":                                      {k8s, []policy.EntrySpec{pods}, policy.Want{}, granted("spiffe://example.org/ns/shop/sa/web", "ent_k8s")},
		"an integer is its digits":                                               {bySub(float64(42)), []policy.EntrySpec{named}, policy.Want{}, granted("spiffe://example.org/team/42", "ent_named")},
		"a required claim with another value":                                    {map[string]any{"team": "b", "name": "x"}, []policy.EntrySpec{named}, policy.Want{}, outcome{Rule: policy.RuleNoEntry}},
		"a required claim of another case":                                       {map[string]any{"team": "A", "name": "x"}, []policy.EntrySpec{named}, policy.Want{}, outcome{Rule: policy.RuleNoEntry}},
		"a required claim among others in a list":                                {map[string]any{"team": []any{"z", "a"}, "name": "x"}, []policy.EntrySpec{named}, policy.Want{}, granted("spiffe://example.org/team/x", "ent_named")},
		"a required claim that is an object":                                     {map[string]any{"team": map[string]any{"a": "a"}, "name": "x"}, []policy.EntrySpec{named}, policy.Want{}, outcome{Rule: policy.RuleNoEntry}},
		"no required claim at all":                                               {map[string]any{}, []policy.EntrySpec{named}, policy.Want{}, outcome{Rule: policy.RuleNoEntry}},
		"a claim to interpolate is missing":                                      {map[string]any{"team": "a"}, []policy.EntrySpec{named}, policy.Want{}, outcome{Rule: policy.RuleClaim}},
		"a claim with a slash widens nothing":                                    {bySub("a/b"), []policy.EntrySpec{named}, policy.Want{}, outcome{Rule: policy.RuleClaim}},
		"a claim that is two dots":                                               {bySub(".."), []policy.EntrySpec{named}, policy.Want{}, outcome{Rule: policy.RuleClaim}},
		"a claim that is a star":                                                 {bySub("*"), []policy.EntrySpec{named}, policy.Want{}, outcome{Rule: policy.RuleClaim}},
		"a claim that looks like a template":                                     {bySub("{{.Sub}}"), []policy.EntrySpec{named}, policy.Want{}, outcome{Rule: policy.RuleClaim}},
		"a claim that names another claim":                                       {bySub("{sub}"), []policy.EntrySpec{named}, policy.Want{}, outcome{Rule: policy.RuleClaim}},
		"a claim with a percent sign":                                            {bySub("%2f"), []policy.EntrySpec{named}, policy.Want{}, outcome{Rule: policy.RuleClaim}},
		"an empty claim":                                                         {bySub(""), []policy.EntrySpec{named}, policy.Want{}, outcome{Rule: policy.RuleClaim}},
		"a claim with a newline":                                                 {bySub("a\nb"), []policy.EntrySpec{named}, policy.Want{}, outcome{Rule: policy.RuleClaim}},
		"a fraction has more than one spelling":                                  {bySub(1.5), []policy.EntrySpec{named}, policy.Want{}, outcome{Rule: policy.RuleClaim}},
		"a list cannot be a segment":                                             {bySub([]any{"a"}), []policy.EntrySpec{named}, policy.Want{}, outcome{Rule: policy.RuleClaim}},
		"a claim makes the ID too long":                                          {bySub(strings.Repeat("a", 2048)), []policy.EntrySpec{named}, policy.Want{}, outcome{Rule: policy.RuleClaim}},
		"a claim leads into Pando's own namespace":                               {bySub("pando"), []policy.EntrySpec{first}, policy.Want{}, outcome{Rule: policy.RuleReserved}},
		"two entries match and none is chosen":                                   {bySub("x"), []policy.EntrySpec{named, other}, policy.Want{}, outcome{Rule: policy.RuleAmbiguousEntry}},
		"two entries match and one is chosen":                                    {bySub("x"), []policy.EntrySpec{named, other}, policy.Want{ID: id(t, "spiffe://example.org/other")}, granted("spiffe://example.org/other", "ent_other")},
		"two entries match and neither is chosen":                                {bySub("x"), []policy.EntrySpec{named, other}, policy.Want{ID: id(t, "spiffe://example.org/third")}, outcome{Rule: policy.RuleNoEntry}},
		"an entry that cannot resolve does not stand in the way of one that can": {bySub("a/b"), []policy.EntrySpec{named, other}, policy.Want{}, granted("spiffe://example.org/other", "ent_other")},
	} {
		t.Run(name, func(t *testing.T) {
			in := f.input(t, jwtCaller(c.claims))
			in.Want = c.want
			for _, spec := range c.entries {
				in.Entries = append(in.Entries, entry(t, spec))
			}
			if diff := cmp.Diff(c.expect, decide(t, in)); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecideRenewal(t *testing.T) {
	f := newFixture(t)
	current := policy.Current{
		ID: id(t, "spiffe://example.org/web"), DNSNames: []string{"web.example.org"}, Profile: "server", EntryID: "ent_9",
	}
	repeated := current
	repeated.DNSNames = []string{"web.example.org", "web.example.org"}
	granted := outcome{ID: current.ID.String(), DNSNames: current.DNSNames, Profile: "server", Entry: "ent_9", Validity: 60 * 24 * time.Hour}

	for name, c := range map[string]struct {
		role     policy.Role
		csrNames []string
		current  *policy.Current
		expect   outcome
	}{
		"the same names again":                  {current: &current, expect: granted},
		"names recorded twice are said once":    {current: &repeated, expect: granted},
		"a certificate without a record":        {expect: outcome{Rule: policy.RuleNoEntry}},
		"another identity":                      {current: &current, csrNames: []string{"spiffe://example.org/db"}, expect: outcome{Rule: policy.RuleIdentity}},
		"another DNS name":                      {current: &current, csrNames: []string{"db.example.org"}, expect: outcome{Rule: policy.RuleDNSName}},
		"a viewer has no other identity either": {role: policy.RoleViewer, current: &current, csrNames: []string{"spiffe://example.org/db"}, expect: outcome{Rule: policy.RuleIdentity}},
		"an administrator who names nothing":    {role: policy.RoleAdmin, current: &current, expect: outcome{Rule: policy.RuleIdentity}},
		"an operator who names nothing":         {role: policy.RoleOperator, current: &current, expect: outcome{Rule: policy.RuleIdentity}},
		"a viewer who names nothing":            {role: policy.RoleViewer, current: &current, expect: outcome{Rule: policy.RuleIdentity}},
	} {
		t.Run(name, func(t *testing.T) {
			in := f.input(t, peerCaller(t, current.ID.String(), c.role), c.csrNames...)
			in.Current = c.current
			if diff := cmp.Diff(c.expect, decide(t, in)); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecideAdministrator(t *testing.T) {
	f := newFixture(t)
	granted := outcome{ID: "spiffe://example.org/db", Profile: "workload", Validity: time.Hour}
	withName := outcome{ID: "spiffe://example.org/db", DNSNames: []string{"*.db.example.org"}, Profile: "wild", Validity: 60 * 24 * time.Hour}
	own := outcome{ID: "spiffe://example.org/pando/admin/bob", Profile: "workload", Validity: time.Hour}

	for name, c := range map[string]struct {
		role     policy.Role
		csrNames []string
		want     policy.Want
		expect   outcome
	}{
		"an operator names an identity in the request": {policy.RoleOperator, nil, policy.Want{ID: id(t, "spiffe://example.org/db")}, granted},
		"an operator names an identity in the CSR":     {policy.RoleOperator, []string{"spiffe://example.org/db"}, policy.Want{}, granted},
		"the request and the CSR differ":               {policy.RoleOperator, []string{"spiffe://example.org/x"}, policy.Want{ID: id(t, "spiffe://example.org/db")}, outcome{Rule: policy.RuleIdentity}},
		"another trust domain":                         {policy.RoleAdmin, []string{"spiffe://example.com/db"}, policy.Want{}, outcome{Rule: policy.RuleTrustDomain}},
		"the trust domain itself":                      {policy.RoleAdmin, []string{"spiffe://example.org"}, policy.Want{}, outcome{Rule: policy.RuleTrustDomain}},
		"a wildcard where the profile allows it":       {policy.RoleOperator, []string{"*.db.example.org"}, policy.Want{ID: id(t, "spiffe://example.org/db"), Profile: "wild"}, withName},
		"a wildcard where it does not":                 {policy.RoleOperator, []string{"*.db.example.org"}, policy.Want{ID: id(t, "spiffe://example.org/db"), Profile: "server"}, outcome{Rule: policy.RuleDNSName}},
		"a profile that requires a DNS name":           {policy.RoleOperator, nil, policy.Want{ID: id(t, "spiffe://example.org/db"), Profile: "server"}, outcome{Rule: policy.RuleDNSName}},
		"a profile without DNS names":                  {policy.RoleOperator, []string{"a.example.org"}, policy.Want{ID: id(t, "spiffe://example.org/db"), Profile: "bare"}, outcome{Rule: policy.RuleKeyAlgorithm}},
		"a profile that does not exist":                {policy.RoleOperator, nil, policy.Want{ID: id(t, "spiffe://example.org/db"), Profile: "nope"}, outcome{Rule: policy.RuleProfile}},
		"an operator cannot make an administrator":     {policy.RoleOperator, nil, policy.Want{ID: id(t, "spiffe://example.org/pando/admin/bob")}, outcome{Rule: policy.RuleReserved}},
		"an administrator can":                         {policy.RoleAdmin, nil, policy.Want{ID: id(t, "spiffe://example.org/pando/admin/bob")}, own},
		"a name that only begins like Pando's is free": {policy.RoleOperator, nil, policy.Want{ID: id(t, "spiffe://example.org/pandora")}, outcome{ID: "spiffe://example.org/pandora", Profile: "workload", Validity: time.Hour}},
		"an unknown role is none":                      {"root", nil, policy.Want{ID: id(t, "spiffe://example.org/db")}, outcome{Rule: policy.RuleIdentity}},
	} {
		t.Run(name, func(t *testing.T) {
			caller := peerCaller(t, "spiffe://example.org/pando/admin/ann", c.role)
			in := f.input(t, caller, c.csrNames...)
			in.Want = c.want
			if diff := cmp.Diff(c.expect, decide(t, in)); diff != "" {
				t.Errorf("decision (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecideRefusesTheKeyOfAnAuthority(t *testing.T) {
	f := newFixture(t)
	in := f.input(t, policy.Caller{Method: policy.MethodInternal})
	in.Want = policy.Want{ID: id(t, "spiffe://example.org/x")}
	for _, a := range f.pki.Set().Authorities() {
		hash, err := ca.HashPublicKey(a.Certificate().PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		in.CSR.KeyHash = hash
		if got := decide(t, in); got.Rule != policy.RuleCAKey {
			t.Errorf("the key of %s gives %+v, want a denial by %s", a.ID(), got, policy.RuleCAKey)
		}
	}
}

func TestValidityStartsALittleInThePast(t *testing.T) {
	f := newFixture(t)
	for _, c := range []struct{ duration, skew time.Duration }{
		{time.Hour, time.Minute}, {10 * time.Minute, time.Minute}, {30 * time.Second, 3 * time.Second}, {5 * time.Second, time.Second},
	} {
		in := f.input(t, policy.Caller{Method: policy.MethodInternal})
		in.Want = policy.Want{ID: id(t, "spiffe://example.org/x"), Duration: c.duration}
		grant, err := policy.Decide(in)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := grant.Leaf.NotBefore, f.now.Add(-c.skew); !got.Equal(want) {
			t.Errorf("duration %s: NotBefore is %s, want %s", c.duration, got, want)
		}
		if got := grant.Leaf.NotAfter.Sub(grant.Leaf.NotBefore); got != c.duration {
			t.Errorf("duration %s: validity is %s", c.duration, got)
		}
	}
}

func TestParseEntryRefuses(t *testing.T) {
	td, err := spiffeid.ParseTrustDomain("example.org")
	if err != nil {
		t.Fatal(err)
	}
	token := policy.EntrySpec{ID: "e", SPIFFEID: "spiffe://example.org/web", Method: policy.MethodJoinToken, Profile: "workload"}
	jwt := policy.EntrySpec{ID: "e", SPIFFEID: "spiffe://example.org/{sub}", Method: policy.MethodJWT, Issuer: "ci", Claims: map[string]string{"aud": "x"}, Profile: "workload"}
	for _, good := range []policy.EntrySpec{token, jwt} {
		if _, err := policy.ParseEntry(good, td); err != nil {
			t.Fatalf("the entry that the cases start from is refused: %v", err)
		}
	}
	withID := func(spec policy.EntrySpec, id string) policy.EntrySpec { spec.SPIFFEID = id; return spec }
	watched := func(spec policy.EntrySpec) policy.EntrySpec { spec.Watch = true; return spec }
	if _, err := policy.ParseEntry(watched(token), td); err != nil {
		t.Errorf("a literal entry to watch is refused: %v", err)
	}

	for name, spec := range map[string]policy.EntrySpec{
		"a template for a join token":          withID(token, "spiffe://example.org/{sub}"),
		"a template to watch":                  watched(jwt),
		"claims for a join token":              {SPIFFEID: token.SPIFFEID, Method: policy.MethodJoinToken, Profile: "workload", Claims: jwt.Claims},
		"a JWT entry that requires no claim":   {SPIFFEID: jwt.SPIFFEID, Method: policy.MethodJWT, Issuer: "ci", Profile: "workload"},
		"a JWT entry without an issuer":        {SPIFFEID: jwt.SPIFFEID, Method: policy.MethodJWT, Claims: jwt.Claims, Profile: "workload"},
		"no method":                            {SPIFFEID: token.SPIFFEID, Profile: "workload"},
		"no profile":                           {SPIFFEID: token.SPIFFEID, Method: policy.MethodJoinToken},
		"a claim name that is empty":           {SPIFFEID: jwt.SPIFFEID, Method: policy.MethodJWT, Issuer: "ci", Profile: "workload", Claims: map[string]string{"": "x"}},
		"a DNS name with a trailing dot":       {SPIFFEID: token.SPIFFEID, Method: policy.MethodJoinToken, Profile: "workload", DNSNames: []string{"a."}},
		"an IP address for a DNS name":         {SPIFFEID: token.SPIFFEID, Method: policy.MethodJoinToken, Profile: "workload", DNSNames: []string{"10.0.0.1"}},
		"another trust domain":                 withID(token, "spiffe://example.com/web"),
		"a trust domain that begins with ours": withID(token, "spiffe://example.org.evil/web"),
		"no path":                              withID(token, "spiffe://example.org"),
		"a trailing slash":                     withID(token, "spiffe://example.org/web/"),
		"an empty segment":                     withID(token, "spiffe://example.org/a//b"),
		"a dot segment":                        withID(token, "spiffe://example.org/a/../b"),
		"upper case in the trust domain":       withID(token, "spiffe://Example.org/a"),
		"a wildcard":                           withID(token, "spiffe://example.org/ns/*"),
		"a query":                              withID(token, "spiffe://example.org/a?x=1"),
		"another scheme":                       withID(token, "https://example.org/a"),
		"a claim that is part of a segment":    withID(jwt, "spiffe://example.org/a-{sub}"),
		"a claim with something after it":      withID(jwt, "spiffe://example.org/{sub}-a"),
		"a claim that is not closed":           withID(jwt, "spiffe://example.org/{sub"),
		"a claim without a name":               withID(jwt, "spiffe://example.org/{}"),
		"braces in braces":                     withID(jwt, "spiffe://example.org/{{sub}}"),
		"a claim in place of the trust domain": withID(jwt, "spiffe://{sub}/a"),
		"a template that is longer than an ID": withID(token, "spiffe://example.org/"+strings.Repeat("a", 2048)),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := policy.ParseEntry(spec, td); err == nil {
				t.Errorf("%+v is accepted", spec)
			}
		})
	}
}

func TestProfilesAreValid(t *testing.T) {
	for _, p := range policy.Profiles() {
		if err := p.Validate(); err != nil {
			t.Error(err)
		}
	}
	good := policy.Profiles()[0]
	for name, change := range map[string]func(*policy.Profile){
		"no name":                       func(p *policy.Profile) { p.Name = "" },
		"a name of two words":           func(p *policy.Profile) { p.Name = "a b" },
		"a name in upper case":          func(p *policy.Profile) { p.Name = "Web" },
		"a name that looks like a flag": func(p *policy.Profile) { p.Name = "-x" },
		"a name of 64":                  func(p *policy.Profile) { p.Name = strings.Repeat("a", 64) },
		"no duration":                   func(p *policy.Profile) { p.Duration = 0 },
		"a duration past the maximum":   func(p *policy.Profile) { p.Duration = p.MaxDuration + 1 },
		"a maximum of ten years":        func(p *policy.Profile) { p.MaxDuration = 10 * 365 * 24 * time.Hour },
		"a renewal after the end":       func(p *policy.Profile) { p.RenewAt = 1.5 },
		"two organisations":             func(p *policy.Profile) { p.Organization = []string{"a", "b"} },
		"an organisation without name":  func(p *policy.Profile) { p.Organization = []string{""} },
		"no key algorithm":              func(p *policy.Profile) { p.KeyAlgorithms = nil },
		"an unknown key algorithm":      func(p *policy.Profile) { p.KeyAlgorithms = []ca.KeyAlgorithm{"rot13"} },
		"one usage without the other":   func(p *policy.Profile) { p.ExtKeyUsage = p.ExtKeyUsage[:1] },
		"any usage":                     func(p *policy.Profile) { p.ExtKeyUsage = append(p.ExtKeyUsage[:2:2], 0) },
		"OCSP signing":                  func(p *policy.Profile) { p.ExtKeyUsage = append(p.ExtKeyUsage[:2:2], 9) },
		"wildcards without DNS names":   func(p *policy.Profile) { p.DNSNames, p.WildcardDNSNames = false, true },
	} {
		p := good
		change(&p)
		if p.Validate() == nil {
			t.Errorf("a profile with %s is accepted", name)
		}
	}
}

// TestAViewerIsToldOfTheRole and not to name the SPIFFE ID that was named.
func TestAViewerIsToldOfTheRole(t *testing.T) {
	in := newFixture(t).input(t, peerCaller(t, "spiffe://example.org/pando/admin/vic", policy.RoleViewer), "spiffe://example.org/db")
	_, err := policy.Decide(in)
	if err == nil || !strings.Contains(err.Error(), "takes the role operator, and the caller has viewer") {
		t.Errorf("the denial is %v", err)
	}
}

// FuzzTemplate: whatever the claims hold, a template resolves to an ID of the trust domain
// with as many segments as the template has, or not at all.
func FuzzTemplate(f *testing.F) {
	f.Add("web")
	f.Add("..")
	f.Add("a/b")
	f.Add("{{x}}")
	template, err := policy.ParseTemplate("spiffe://example.org/ns/{/k/ns}/sa/{sub}")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, claim string) {
		got, err := template.Resolve(map[string]any{"sub": claim, "k": map[string]any{"ns": claim}})
		if err != nil {
			return
		}
		if want := "spiffe://example.org/ns/" + claim + "/sa/" + claim; got.String() != want || strings.Count(got.Path(), "/") != 4 {
			t.Errorf("claim %q resolves to %s", claim, got)
		}
	})
}

// FuzzParseTemplate: a template that parses and holds no claim is a SPIFFE ID.
func FuzzParseTemplate(f *testing.F) {
	for _, seed := range []string{"spiffe://example.org/a", "spiffe://example.org/{/a~1b/c}/d", "spiffe://example.org/{a}", "spiffe:///"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		template, err := policy.ParseTemplate(text)
		if err != nil || !template.Literal() {
			return
		}
		got, err := template.Resolve(nil)
		if err != nil || got.String() != text {
			t.Errorf("template %q resolves to %s: %v", text, got, err)
		}
	})
}
