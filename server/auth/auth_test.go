package auth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/policy"
)

// goodToken is a well-formed join token.
const goodToken = "pjt_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

func (w *world) chain(t *testing.T, id string) []*x509.Certificate {
	t.Helper()
	issued := w.pki.Issue(t, id, catest.Leaf{})
	var chain []*x509.Certificate
	for _, der := range issued.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, c)
	}
	return chain
}

func TestCertificateBecomesCaller(t *testing.T) {
	w := newWorld(t, nil)
	chain := w.chain(t, "spiffe://example.org/web")
	got, err := w.Authenticate(t.Context(), Credentials{Chain: chain, Address: "2001:db8::1"}, w.now)
	if err != nil {
		t.Fatal(err)
	}
	if got.Method != policy.MethodPeer || got.Subject != "spiffe://example.org/web" || got.ID.String() != got.Subject ||
		got.Serial.Int().Cmp(chain[0].SerialNumber) != 0 || got.Address != "2001:db8::1" {
		t.Errorf("got %+v", got)
	}
}

func TestCertificatesThatAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	stranger := newWorld(t, nil)
	good := w.chain(t, "spiffe://example.org/web")
	for name, c := range map[string]struct {
		chain   []*x509.Certificate
		after   time.Duration
		message string
	}{
		"expired":         {good, 2 * time.Hour, "has expired"},
		"not yet valid":   {good, -2 * time.Hour, "not valid yet"},
		"of another CA":   {stranger.chain(t, "spiffe://example.org/web"), 0, "not accepted"},
		"an intermediate": {good[1:], 0, "not accepted"},
	} {
		_, err := w.Authenticate(t.Context(), Credentials{Chain: c.chain}, w.now.Add(c.after))
		if e := wantReason(t, err, ReasonCertificate); !strings.Contains(e.Message, c.message) || e.Method != policy.MethodPeer {
			t.Errorf("%s: %v by %s", name, e, e.Method)
		}
	}
}

// A bearer credential is the credential, whatever certificate is beside it.
func TestBearerCredentialDecides(t *testing.T) {
	w := newWorld(t, nil)
	w.tokens.add(goodToken, policy.JoinToken{ID: "tok_1", EntryID: "ent_1", ExpiresAt: w.now.Add(48 * time.Hour)})
	chain := w.chain(t, "spiffe://example.org/web")
	stale := w.now.Add(24 * time.Hour)
	fresh := object{"iat": stale.Unix(), "exp": stale.Add(time.Hour).Unix()}

	for name, c := range map[string]struct {
		credentials Credentials
		now         time.Time
		method      policy.Method
		reason      Reason
	}{
		"nothing":                             {Credentials{}, w.now, "", ReasonNoCredentials},
		"certificate alone":                   {Credentials{Chain: chain}, w.now, policy.MethodPeer, ""},
		"stale certificate alone":             {Credentials{Chain: chain}, stale, "", ReasonCertificate},
		"stale certificate, good join token":  {Credentials{Chain: chain, Bearer: goodToken}, stale, policy.MethodJoinToken, ""},
		"stale certificate, good JWT":         {Credentials{Chain: chain, Bearer: w.token(t, fresh)}, stale, policy.MethodJWT, ""},
		"good certificate, good JWT":          {Credentials{Chain: chain, Bearer: w.token(t, nil)}, w.now, policy.MethodJWT, ""},
		"good certificate, unknown token":     {Credentials{Chain: chain, Bearer: "pjt_" + strings.Repeat("A", 43)}, w.now, "", ReasonTokenUnknown},
		"good certificate, expired JWT":       {Credentials{Chain: chain, Bearer: w.token(t, nil)}, w.now.Add(30 * time.Minute).Add(31 * time.Minute), "", ReasonJWTExpired},
		"good certificate, bearer of nothing": {Credentials{Chain: chain, Bearer: "x"}, w.now, "", ReasonMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			caller, err := w.Authenticate(t.Context(), c.credentials, c.now)
			if c.reason != "" {
				wantReason(t, err, c.reason)
				return
			}
			if err != nil || caller.Method != c.method {
				t.Errorf("got a caller by %q and error %v, want one by %q", caller.Method, err, c.method)
			}
		})
	}
}

// Threat 27: join tokens.
func TestThreat27JoinTokens(t *testing.T) {
	used := policy.Spent{At: time.Now().Truncate(time.Second)}
	for name, c := range map[string]struct {
		token  policy.JoinToken
		after  time.Duration // since the token was made or used
		reason Reason
	}{
		"unused":                     {policy.JoinToken{}, 0, ""},
		"at the end of its time":     {policy.JoinToken{}, 10*time.Minute - 1, ""},
		"expired":                    {policy.JoinToken{}, 10 * time.Minute, ReasonTokenExpired},
		"used a moment ago":          {policy.JoinToken{Spent: used}, time.Second, ""},
		"used, and expired since":    {policy.JoinToken{Spent: used}, 11 * time.Minute, ""},
		"used an hour ago":           {policy.JoinToken{Spent: used}, time.Hour, ""},
		"used more than an hour ago": {policy.JoinToken{Spent: used}, time.Hour + 1, ReasonTokenUsed},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			c.token.ID, c.token.EntryID, c.token.ExpiresAt = "tok_1", "ent_1", used.At.Add(10*time.Minute)
			w.tokens.add(goodToken, c.token)
			caller, err := w.bearerAt(goodToken, used.At.Add(c.after))
			if c.reason != "" {
				if e := wantReason(t, err, c.reason); e.Method != policy.MethodJoinToken {
					t.Errorf("by %s", e.Method)
				}
				return
			}
			if err != nil || caller.Subject != "tok_1" || caller.EntryID != "ent_1" || caller.Spent != c.token.Spent ||
				caller.TokenHash == [32]byte{} || caller.Role != policy.RoleNone {
				t.Errorf("got %+v, %v", caller, err)
			}
		})
	}
}

func TestThreat27MalformedJoinTokensCostNoLookUp(t *testing.T) {
	w := newWorld(t, nil)
	for name, text := range map[string]string{
		"the prefix alone":        "pjt_",
		"one character short":     goodToken[:len(goodToken)-1],
		"one character too long":  goodToken + "A",
		"a megabyte":              "pjt_" + strings.Repeat("A", 1<<20),
		"padding":                 goodToken + "=",
		"standard base64":         goodToken[:10] + "+" + goodToken[11:],
		"a line end":              goodToken[:10] + "\n" + goodToken[11:],
		"a line end at the front": "pjt_\n" + strings.Repeat("A", 42),
		"a line end more":         goodToken + "\n",
		"bits after the last one": goodToken[:len(goodToken)-1] + "9",
		"a NUL":                   goodToken[:10] + "\x00" + goodToken[11:],
	} {
		_, err := w.bearer(text)
		if !isReason(err, ReasonMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w.tokens.lookups != 0 {
		t.Errorf("%d look-ups", w.tokens.lookups)
	}
}

// Threat 27: guessing. An address that shows too many wrong tokens is not heard for a while,
// others and client certificates are.
func TestThreat27GuessingIsRateLimited(t *testing.T) {
	w := newWorld(t, nil)
	w.tokens.add(goodToken, policy.JoinToken{ID: "tok_1", ExpiresAt: w.now.Add(time.Hour)})
	wrong := "pjt_" + strings.Repeat("A", 43)
	show := func(address, text string, now time.Time) error {
		_, err := w.Authenticate(t.Context(), Credentials{Bearer: text, Address: address}, now)
		return err
	}
	for range defaultFailureBurst {
		wantReason(t, show("192.0.2.1", wrong, w.now), ReasonTokenUnknown)
	}
	lookups := w.tokens.lookups
	for _, text := range []string{wrong, goodToken, w.token(t, nil), "x"} {
		e := wantReason(t, show("192.0.2.1", text, w.now), ReasonRateLimited)
		if e.RetryAfter != time.Second/defaultFailureRate {
			t.Errorf("retry after %s", e.RetryAfter)
		}
	}
	if w.tokens.lookups != lookups {
		t.Error("a token was looked up for an address that is not heard")
	}
	wantReason(t, show("::ffff:192.0.2.1", goodToken, w.now), ReasonRateLimited)
	if err := show("192.0.2.2", goodToken, w.now); err != nil {
		t.Errorf("another address: %v", err)
	}
	if _, err := w.Authenticate(t.Context(), Credentials{Chain: w.chain(t, "spiffe://example.org/web"), Address: "192.0.2.1"}, w.now); err != nil {
		t.Errorf("a certificate from the same address: %v", err)
	}
	if err := show("192.0.2.1", goodToken, w.now.Add(time.Second/defaultFailureRate)); err != nil {
		t.Errorf("after the wait: %v", err)
	}
}

func TestFailuresCountForAnIPv6Network(t *testing.T) {
	f := newFailures(1, 1)
	now := time.Now()
	f.count("2001:db8:0:1::1", now)
	for address, limited := range map[string]bool{
		"2001:db8:0:1::1":       true,
		"2001:db8:0:1:ffff::99": true,
		"2001:db8:0:2::1":       false,
		"192.0.2.1":             false,
		"":                      false,
	} {
		if got := f.wait(address, now) > 0; got != limited {
			t.Errorf("%q limited: %v", address, got)
		}
	}
	f.count("no address", now)
	if f.wait("another text", now) == 0 {
		t.Error("texts that are no address do not count as one")
	}
	off := newFailures(-1, 0)
	off.count("192.0.2.1", now)
	if off.wait("192.0.2.1", now) != 0 {
		t.Error("a negative rate limits")
	}
}

func TestFailuresRememberABoundedNumberOfAddresses(t *testing.T) {
	f := newFailures(0, 0)
	now := time.Now()
	for i := range failureAddresses + 1000 {
		f.count(fmt.Sprintf("2001:db8:%x:%x::1", i>>16, i&0xffff), now)
	}
	if n := f.buckets.Len(); n > failureAddresses {
		t.Errorf("%d addresses are remembered", n)
	}
}

func TestTokensThatCannotBeLookedUpAreUnavailable(t *testing.T) {
	w := newWorld(t, nil)
	w.tokens.away = errors.New("connection refused")
	for range 2 * defaultFailureBurst {
		_, err := w.bearer(goodToken)
		e := wantReason(t, err, ReasonUnavailable)
		if e.RetryAfter <= 0 || !errors.Is(err, w.tokens.away) || strings.Contains(e.Message, "refused") {
			t.Fatalf("got %v after %s", e, e.RetryAfter)
		}
	}
}

func TestObserverIsToldOfRefusals(t *testing.T) {
	w := newWorld(t, nil)
	w.bearer("x")
	w.bearer(w.token(t, object{"aud": "other"}))
	w.bearer(w.token(t, nil))
	w.Authenticate(t.Context(), Credentials{}, w.now)
	if want := []Reason{ReasonMalformed, ReasonJWTAudience}; !slices.Equal(w.seen.reasons, want) {
		t.Errorf("told of %v, want %v", w.seen.reasons, want)
	}
	for _, reason := range w.seen.reasons {
		if !slices.Contains(Reasons(), reason) {
			t.Errorf("%s is not in the list of reasons", reason)
		}
	}
}

func TestBearerToken(t *testing.T) {
	for name, c := range map[string]struct {
		values []string
		want   string
		good   bool
	}{
		"none":                        {nil, "", true},
		"a token":                     {[]string{"Bearer abc.def-_~+/="}, "abc.def-_~+/=", true},
		"another case":                {[]string{"bEARER abc"}, "abc", true},
		"two spaces":                  {[]string{"Bearer  abc"}, "abc", true},
		"two values":                  {[]string{"Bearer abc", "Bearer abc"}, "", false},
		"another scheme":              {[]string{"Basic YTpi"}, "", false},
		"no scheme":                   {[]string{"abc"}, "", false},
		"an empty value":              {[]string{""}, "", false},
		"an empty token":              {[]string{"Bearer "}, "", false},
		"no token":                    {[]string{"Bearer"}, "", false},
		"a space inside":              {[]string{"Bearer a b"}, "", false},
		"a comma and a second scheme": {[]string{"Bearer abc,Basic"}, "", false},
		"a control character":         {[]string{"Bearer abc\x00"}, "", false},
		"not ASCII":                   {[]string{"Bearer ä"}, "", false},
		"a token that is too long":    {[]string{"Bearer " + strings.Repeat("a", MaxBearerSize+1)}, "", false},
	} {
		got, err := BearerToken(c.values)
		if got != c.want || (err == nil) != c.good {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if err != nil {
			wantReason(t, err, ReasonMalformed)
		}
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	good := IssuerConfig{Name: "ci", Issuer: "https://issuer.example", Audiences: []string{"pando"}}
	if _, err := NewIssuer(good); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*IssuerConfig)
		want   string
	}{
		"no name":                  {func(c *IssuerConfig) { c.Name = "" }, "name"},
		"a name with a space":      {func(c *IssuerConfig) { c.Name = "c i" }, "name"},
		"no issuer":                {func(c *IssuerConfig) { c.Issuer = "" }, "issuer is missing"},
		"no audiences":             {func(c *IssuerConfig) { c.Audiences = nil }, "audiences"},
		"an empty audience":        {func(c *IssuerConfig) { c.Audiences = []string{"a", ""} }, "audience"},
		"a symmetric algorithm":    {func(c *IssuerConfig) { c.Algorithms = []string{"HS256"} }, "HS256"},
		"algorithm none":           {func(c *IssuerConfig) { c.Algorithms = []string{"none"} }, "none"},
		"two sources":              {func(c *IssuerConfig) { c.JWKSURL, c.JWKSFile = "https://a/", "b" }, "more than one"},
		"http":                     {func(c *IssuerConfig) { c.JWKSURL = "http://issuer.example/keys" }, "not https"},
		"an issuer that is http":   {func(c *IssuerConfig) { c.Issuer = "http://issuer.example" }, "not https"},
		"an issuer without a URL":  {func(c *IssuerConfig) { c.Issuer = "kubernetes/serviceaccount" }, "no host"},
		"a missing file":           {func(c *IssuerConfig) { c.JWKSFile = "testdata/missing.json" }, "missing.json"},
		"a negative lifetime":      {func(c *IssuerConfig) { c.MaxLifetime = -1 }, "lifetime"},
		"a negative leeway":        {func(c *IssuerConfig) { c.Leeway = -1 }, "leeway"},
		"a leeway of an hour":      {func(c *IssuerConfig) { c.Leeway = time.Hour }, "leeway"},
		"keys that age in a blink": {func(c *IssuerConfig) { c.KeysMaxAge = time.Second }, "maximum age"},
		"a role claim of nothing":  {func(c *IssuerConfig) { c.RoleClaim = "/" }, "role claim"},
	} {
		cfg := good
		c.change(&cfg)
		if _, err := NewIssuer(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIssuersMustBeDistinct(t *testing.T) {
	issuer := func(name, iss string) *Issuer {
		i, err := NewIssuer(IssuerConfig{Name: name, Issuer: iss, Audiences: []string{"pando"}})
		if err != nil {
			t.Fatal(err)
		}
		return i
	}
	for name, issuers := range map[string][]*Issuer{
		"same name": {issuer("a", "https://a.example"), issuer("a", "https://b.example")},
		"same iss":  {issuer("a", "https://a.example"), issuer("b", "https://a.example")},
	} {
		if _, err := New(Config{Peers: peers{}, Tokens: &fakeTokens{}, Issuers: issuers}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := New(Config{}); err == nil {
		t.Error("a configuration without peers and tokens is accepted")
	}
}

func TestWithoutIssuersEveryJWTIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	a, err := New(Config{Peers: peers{w.pki.Set()}, Tokens: w.tokens})
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Authenticate(context.Background(), Credentials{Bearer: w.token(t, nil)}, w.now)
	wantReason(t, err, ReasonJWTIssuer)
}
