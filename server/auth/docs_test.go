package auth

import (
	"bytes"
	"crypto"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/ca/spiffeid"
)

const docs = "../../docs"

// documentedIssuer is an issuer as it stands in pando.yaml.
type documentedIssuer struct {
	Name         string        `yaml:"name"`
	Issuer       string        `yaml:"issuer"`
	DiscoveryURL string        `yaml:"discovery_url"`
	JWKSURL      string        `yaml:"jwks_url"`
	JWKSFile     string        `yaml:"jwks_file"`
	RootCAFile   string        `yaml:"root_ca_file"`
	Audiences    []string      `yaml:"audiences"`
	Algorithms   []string      `yaml:"algorithms"`
	MaxLifetime  time.Duration `yaml:"max_lifetime"`
	Leeway       time.Duration `yaml:"leeway"`
	KeysMaxAge   time.Duration `yaml:"keys_max_age"`
	RoleClaim    string        `yaml:"role_claim"`
	Reusable     bool          `yaml:"reusable"`
}

func (d documentedIssuer) config() IssuerConfig {
	return IssuerConfig{
		Name: d.Name, Issuer: d.Issuer, DiscoveryURL: d.DiscoveryURL, JWKSURL: d.JWKSURL, JWKSFile: d.JWKSFile,
		Audiences: d.Audiences, Algorithms: d.Algorithms, MaxLifetime: d.MaxLifetime, Leeway: d.Leeway,
		KeysMaxAge: d.KeysMaxAge, RoleClaim: d.RoleClaim, Reusable: d.Reusable,
	}
}

// example is one walk through a page: an entry, the claims of a token, and what they give.
type example struct {
	entry    policy.EntrySpec
	claims   object
	identity string
}

// docPage is what the tests take from a page.
type docPage struct {
	issuers  []documentedIssuer
	examples []example
}

// The worked examples are walked through as they are written: configuration, entry, a token
// with the claims shown, authentication, decision.
func TestDocumentedExamplesGiveTheirIdentities(t *testing.T) {
	pki := catest.New(t, catest.Options{})
	key := catest.Key(t, ca.RSA2048)
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, encode(t, keySet(t, map[string]crypto.Signer{"k1": key})), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kubernetes", "github-actions", "oidc"} {
		t.Run(name, func(t *testing.T) {
			p := readPage(t, filepath.Join(docs, "authentication-"+name+".md"))
			if len(p.issuers) != 1 || len(p.examples) == 0 {
				t.Fatalf("%d issuers and %d examples", len(p.issuers), len(p.examples))
			}
			a := documentedAuthenticator(t, p.issuers[0], pki, file)
			for _, e := range p.examples {
				walk(t, a, pki, key, e)
			}
		})
	}
}

// documentedAuthenticator checks an issuer as it is documented, and returns one that has its
// keys from a file instead.
func documentedAuthenticator(t *testing.T, d documentedIssuer, pki *catest.CA, keys string) *Authenticator {
	t.Helper()
	if _, err := NewIssuer(d.config()); err != nil {
		t.Fatal(err)
	}
	cfg := d.config()
	cfg.DiscoveryURL, cfg.JWKSURL, cfg.JWKSFile = "", "", keys
	issuer, err := NewIssuer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(Config{Peers: peers{pki.Set()}, Tokens: &fakeTokens{}, Issuers: []*Issuer{issuer}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func walk(t *testing.T, a *Authenticator, pki *catest.CA, key crypto.Signer, e example) {
	t.Helper()
	now := time.Now().Truncate(time.Second)
	decide := func(claims object) (*policy.Grant, error) {
		text := sign(t, key, object{"alg": "RS256", "kid": "k1"}, shifted(t, claims, now))
		caller, err := a.Authenticate(t.Context(), Credentials{Bearer: text}, now)
		if err != nil {
			t.Fatal(err)
		}
		return policy.Decide(input(t, pki, e.entry, caller, now))
	}
	grant, err := decide(e.claims)
	if err != nil {
		t.Fatal(err)
	}
	if got := grant.Leaf.ID.String(); got != e.identity {
		t.Errorf("the example gives %s, documented is %s", got, e.identity)
	}
	for name := range e.entry.Claims {
		_, err := decide(replaced(t, e.claims, name))
		var denial *policy.Denial
		if !errors.As(err, &denial) || denial.Rule != policy.RuleNoEntry {
			t.Errorf("with another value of %s: %v", name, err)
		}
	}
}

func input(t *testing.T, pki *catest.CA, spec policy.EntrySpec, caller policy.Caller, now time.Time) policy.Input {
	t.Helper()
	td, err := spiffeid.ParseTrustDomain(catest.DefaultTrustDomain)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := policy.ParseEntry(spec, td)
	if err != nil {
		t.Fatal(err)
	}
	_, der := catest.CSR(t, ca.ECDSAP256)
	csr, err := ca.ParseCSR(der)
	if err != nil {
		t.Fatal(err)
	}
	profiles := make(map[string]*policy.Profile)
	for _, p := range policy.Profiles() {
		profiles[p.Name] = &p
	}
	return policy.Input{Caller: caller, CSR: csr, Entries: []*policy.Entry{entry}, Profiles: profiles, Set: pki.Set(), Now: now}
}

// shifted moves the dates of documented claims so that the token was issued now.
func shifted(t *testing.T, claims object, now time.Time) object {
	t.Helper()
	issued, err := claims["iat"].(json.Number).Int64()
	if err != nil {
		t.Fatal(err)
	}
	moved := with(claims, nil)
	for _, name := range []string{"iat", "nbf", "exp"} {
		if number, ok := claims[name].(json.Number); ok {
			seconds, err := number.Int64()
			if err != nil {
				t.Fatal(err)
			}
			moved[name] = seconds - issued + now.Unix()
		}
	}
	return moved
}

// replaced returns a deep copy of claims in which one claim has another value.
func replaced(t *testing.T, claims object, name string) object {
	t.Helper()
	changed, err := decodeObject(encode(t, claims))
	if err != nil {
		t.Fatal(err)
	}
	path, err := policy.ParsePointer(name)
	if err != nil {
		t.Fatal(err)
	}
	at := changed
	for _, step := range path[:len(path)-1] {
		at = at[step].(object)
	}
	at[path[len(path)-1]] = "another"
	return changed
}

// readPage reads the fenced blocks of a page. What a block is follows the language in its
// first line; every YAML block must at least be YAML.
func readPage(t *testing.T, path string) docPage {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var p docPage
	var next example
	for _, block := range regexp.MustCompile("(?ms)^```(\\S+)(?: (\\S+))?\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		language, role, content := block[1], block[2], block[3]
		switch {
		case role == "pando.yaml":
			p.issuers = append(p.issuers, readIssuers(t, content)...)
		case language == "yaml":
			var document any
			if err := yaml.Unmarshal([]byte(content), &document); err != nil {
				t.Error(err)
			}
		case role == "entry":
			next.entry = readEntry(t, content)
		case role == "claims":
			if next.claims, err = decodeObject([]byte(content)); err != nil {
				t.Fatal(err)
			}
		case role == "identity":
			next.identity = strings.TrimSpace(content)
			p.examples = append(p.examples, next)
		}
	}
	return p
}

func readIssuers(t *testing.T, content string) []documentedIssuer {
	t.Helper()
	var configuration struct {
		Issuers []documentedIssuer `yaml:"issuers"`
	}
	dec := yaml.NewDecoder(bytes.NewReader([]byte(content)))
	dec.KnownFields(true)
	if err := dec.Decode(&configuration); err != nil {
		t.Fatal(err)
	}
	return configuration.Issuers
}

// readEntry reads the command that makes an entry.
func readEntry(t *testing.T, command string) policy.EntrySpec {
	t.Helper()
	words := strings.Fields(strings.NewReplacer("\\\n", " ", "'", "").Replace(command))
	if len(words) < 3 || !slices.Equal(words[:3], []string{"pando", "entry", "create"}) || len(words)%2 == 0 {
		t.Fatalf("not a command that makes an entry: %s", command)
	}
	spec := policy.EntrySpec{ID: "ent_1", Method: policy.MethodJWT, Profile: policy.ProfileWorkload, Claims: make(map[string]string)}
	for i := 3; i < len(words); i += 2 {
		switch value := words[i+1]; words[i] {
		case "--issuer":
			spec.Issuer = value
		case "--spiffe-id":
			spec.SPIFFEID = value
		case "--claim":
			name, want, _ := strings.Cut(value, "=")
			spec.Claims[name] = want
		default:
			t.Fatalf("unknown flag %s", words[i])
		}
	}
	return spec
}

// The pages name keys of the configuration file; its own page must know them.
func TestDocumentedKeysAreInTheConfigurationReference(t *testing.T) {
	reference, err := os.ReadFile(filepath.Join(docs, "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kubernetes", "github-actions", "oidc"} {
		text, err := os.ReadFile(filepath.Join(docs, "authentication-"+name+".md"))
		if err != nil {
			t.Fatal(err)
		}
		_, after, _ := strings.Cut(string(text), "issuers:\n")
		block, _, _ := strings.Cut(after, "```")
		for _, key := range regexp.MustCompile(`(?m)^[ -]+([a-z_]+):`).FindAllStringSubmatch(block, -1) {
			if !strings.Contains(string(reference), "`issuers[]."+key[1]+"`") {
				t.Errorf("authentication-%s.md: %s is not in configuration.md", name, key[1])
			}
		}
	}
}

func TestDocumentedReasonsAreAllThereAre(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(docs, "authentication.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, reason := range Reasons() {
		if reason != ReasonNoCredentials && !strings.Contains(string(text), "`"+string(reason)+"`") {
			t.Errorf("%s is not documented", reason)
		}
	}
}
