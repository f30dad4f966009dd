package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/ca/spiffeid"
)

func TestJWTBecomesCaller(t *testing.T) {
	w := newWorld(t, func(c *IssuerConfig) { c.RoleClaim = "/pando/role" })
	nested := object{"pando": object{"role": "operator"}, "run_id": 12345678901234567}
	got, err := w.bearer(w.token(t, nested))
	if err != nil {
		t.Fatal(err)
	}
	want := policy.Caller{
		Method: policy.MethodJWT, Subject: "ci workload-7", Address: "192.0.2.1", Role: policy.RoleOperator,
		Issuer: "ci", TokenID: "j1", ExpiresAt: w.now.Add(time.Hour + 2*time.Minute),
	}
	runID := got.Claims["run_id"]
	got.Claims = nil
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b spiffeid.ID) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if runID != json.Number("12345678901234567") {
		t.Errorf("a large integer claim became %v", runID)
	}
}

func TestEveryAlgorithmVerifiesWithItsKey(t *testing.T) {
	rsaKey := catest.Key(t, ca.RSA2048)
	keys := map[string]crypto.Signer{
		"RS256": rsaKey, "RS384": rsaKey, "RS512": rsaKey, "PS256": rsaKey, "PS384": rsaKey, "PS512": rsaKey,
		"ES256": catest.Key(t, ca.ECDSAP256), "ES384": catest.Key(t, ca.ECDSAP384), "EdDSA": catest.Key(t, ca.Ed25519),
		"ES512": p521(t),
	}
	w := newWorld(t, func(c *IssuerConfig) { c.Algorithms = algorithms() })
	w.oidc.serve(body(keySet(t, keys)))
	for _, alg := range algorithms() {
		text := sign(t, keys[alg], object{"alg": alg, "kid": alg}, w.claims)
		if _, err := w.bearer(text); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

// Threat 21: no signature at all, a public key used as an HMAC key, an algorithm that is not
// the key's.
func TestThreat21AlgorithmConfusion(t *testing.T) {
	p256, p384, rsaKey := catest.Key(t, ca.ECDSAP256), catest.Key(t, ca.ECDSAP384), catest.Key(t, ca.RSA2048)
	w := newWorld(t, func(c *IssuerConfig) { c.Algorithms = []string{"RS256", "ES256", "ES384", "EdDSA"} })
	set := keySet(t, map[string]crypto.Signer{"p256": p256, "p384": p384, "rsa": rsaKey})
	bound := jwk(t, p256.Public(), "bound")
	bound.ALG = "ES384"
	set.Keys = append(set.Keys, bound)
	w.oidc.serve(body(set))

	spki, err := x509.MarshalPKIXPublicKey(rsaKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	good := sign(t, p256, object{"alg": "ES256", "kid": "p256"}, w.claims)
	if _, err := w.bearer(good); err != nil {
		t.Fatal(err)
	}
	segments := strings.Split(good, ".")
	relabelled := func(header object) string {
		return base64.RawURLEncoding.EncodeToString(encode(t, header)) + "." + segments[1] + "." + segments[2]
	}
	for name, c := range map[string]struct {
		text   string
		reason Reason
	}{
		"alg none without a signature":             {relabelled(object{"alg": "none"})[:len(relabelled(object{"alg": "none"}))-len(segments[2])], ReasonJWTAlgorithm},
		"alg None in another case":                 {relabelled(object{"alg": "None", "kid": "p256"}), ReasonJWTAlgorithm},
		"alg missing":                              {relabelled(object{"kid": "p256"}), ReasonJWTAlgorithm},
		"alg is a number":                          {relabelled(object{"alg": 256, "kid": "p256"}), ReasonJWTAlgorithm},
		"HS256 keyed with the public key":          {sign(t, spki, object{"alg": "HS256", "kid": "rsa"}, w.claims), ReasonJWTAlgorithm},
		"RS256 header with an EC key":              {relabelled(object{"alg": "RS256", "kid": "p256"}), ReasonJWTAlgorithm},
		"ES256 header with an RSA key":             {relabelled(object{"alg": "ES256", "kid": "rsa"}), ReasonJWTAlgorithm},
		"ES384 with a P-256 key":                   {es384WithP256(t, p256, w.claims), ReasonJWTAlgorithm},
		"ES256 with a P-384 key":                   {relabelled(object{"alg": "ES256", "kid": "p384"}), ReasonJWTAlgorithm},
		"RS512, known but not allowed here":        {sign(t, rsaKey, object{"alg": "RS512", "kid": "rsa"}, w.claims), ReasonJWTAlgorithm},
		"ES256 with a key that is bound to ES384":  {sign(t, p256, object{"alg": "ES256", "kid": "bound"}, w.claims), ReasonJWTAlgorithm},
		"another key's signature":                  {sign(t, catest.Key(t, ca.ECDSAP256), object{"alg": "ES256", "kid": "p256"}, w.claims), ReasonJWTSignature},
		"an empty signature":                       {segments[0] + "." + segments[1] + ".", ReasonJWTSignature},
		"claims changed after signing":             {segments[0] + "." + base64.RawURLEncoding.EncodeToString(encode(t, with(w.claims, object{"sub": "root"}))) + "." + segments[2], ReasonJWTSignature},
		"a signature with its last bits changed":   {good[:len(good)-1] + "B", ReasonMalformed},
		"a signature with padding":                 {good + "==", ReasonMalformed},
		"a signature with a line end":              {good[:len(good)-4] + "\n" + good[len(good)-4:], ReasonMalformed},
		"four segments":                            {good + ".AAAA", ReasonMalformed},
		"two segments":                             {segments[0] + "." + segments[1], ReasonMalformed},
		"a JWS in JSON serialization":              {`{"payload":"","signatures":[]}`, ReasonMalformed},
		"a JWE in five segments":                   {"e30.e30.e30.e30.e30", ReasonMalformed},
		"a text of dots":                           {"...", ReasonMalformed},
		"a header that is an array":                {"W10." + segments[1] + "." + segments[2], ReasonMalformed},
		"a header that is null":                    {"bnVsbA." + segments[1] + "." + segments[2], ReasonJWTAlgorithm},
		"a token over the size limit":              {good + strings.Repeat("A", MaxBearerSize), ReasonMalformed},
		"alg twice in the header, signed properly": {signRaw(t, p256, "ES256", []byte(`{"alg":"none","kid":"p256","alg":"ES256"}`), encode(t, w.claims)), ReasonJWTHeader},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.bearerAt(c.text, w.now)
			wantReason(t, err, c.reason)
		})
	}
}

// es384WithP256 signs SHA-384 with a P-256 key, in the 96 octets of ES384: golang-jwt alone
// would verify it.
func es384WithP256(t *testing.T, key crypto.Signer, claims object) string {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString(encode(t, object{"alg": "ES384", "kid": "p256"})) + "." +
		base64.RawURLEncoding.EncodeToString(encode(t, claims))
	digest := sha512.Sum384([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key.(*ecdsa.PrivateKey), digest[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 96)
	r.FillBytes(signature[:48])
	s.FillBytes(signature[48:])
	if err := jwt.SigningMethodES384.Verify(text, signature, key.Public()); err != nil {
		t.Fatalf("golang-jwt has learnt to look at the curve: %v", err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// Threat 22: times, audience, issuer, subject.
func TestThreat22Claims(t *testing.T) {
	w := newWorld(t, nil)
	at := func(d time.Duration) int64 { return w.now.Add(d).Unix() }
	for name, c := range map[string]struct {
		changes object
		reason  Reason // "": accepted
	}{
		"as it should be":                          {nil, ""},
		"no exp":                                   {object{"exp": absent}, ReasonJWTClaims},
		"exp is null":                              {object{"exp": nil}, ReasonJWTClaims},
		"exp is a string":                          {object{"exp": "4102444800"}, ReasonJWTClaims},
		"exp is negative":                          {object{"exp": -1}, ReasonJWTClaims},
		"exp is beyond every calendar":             {object{"exp": json.Number("1e300")}, ReasonJWTClaims},
		"exp overflows a float":                    {object{"exp": json.Number("1e999")}, ReasonJWTClaims},
		"exp passed within the leeway":             {object{"iat": at(-time.Hour), "exp": at(-59 * time.Second)}, ""},
		"exp passed by exactly the leeway":         {object{"iat": at(-time.Hour), "exp": at(-60 * time.Second)}, ReasonJWTExpired},
		"exp with a fraction":                      {object{"exp": json.Number("1e0")}, ReasonJWTExpired},
		"exp at the maximum lifetime":              {object{"exp": at(24 * time.Hour)}, ""},
		"exp past the maximum lifetime from iat":   {object{"exp": at(24*time.Hour + time.Second)}, ReasonJWTLifetime},
		"exp a century ahead without iat":          {object{"iat": absent, "exp": at(100 * 365 * 24 * time.Hour)}, ReasonJWTLifetime},
		"an old iat that hides a long lifetime":    {object{"iat": at(-48 * time.Hour)}, ReasonJWTLifetime},
		"no iat":                                   {object{"iat": absent}, ""},
		"iat in the future within the leeway":      {object{"iat": at(time.Minute)}, ""},
		"iat in the future":                        {object{"iat": at(61 * time.Second)}, ReasonJWTNotYetValid},
		"iat is a boolean":                         {object{"iat": true}, ReasonJWTClaims},
		"nbf in the future within the leeway":      {object{"nbf": at(time.Minute)}, ""},
		"nbf in the future":                        {object{"nbf": at(61 * time.Second)}, ReasonJWTNotYetValid},
		"nbf is an object":                         {object{"nbf": object{}}, ReasonJWTClaims},
		"aud of another service":                   {object{"aud": "vault"}, ReasonJWTAudience},
		"aud is a prefix of ours":                  {object{"aud": "pand"}, ReasonJWTAudience},
		"aud in another case":                      {object{"aud": "Pando"}, ReasonJWTAudience},
		"aud is missing":                           {object{"aud": absent}, ReasonJWTClaims},
		"aud is empty":                             {object{"aud": ""}, ReasonJWTAudience},
		"aud is an empty array":                    {object{"aud": []any{}}, ReasonJWTAudience},
		"aud is an array with ours":                {object{"aud": []any{"vault", "pando"}}, ""},
		"aud is an array with a number":            {object{"aud": []any{"pando", 1}}, ReasonJWTClaims},
		"iss is missing":                           {object{"iss": absent}, ReasonJWTIssuer},
		"iss of somebody else":                     {object{"iss": "https://issuer.example.net"}, ReasonJWTIssuer},
		"iss with a slash at its end":              {object{"iss": w.oidc.server.URL + "/"}, ReasonJWTIssuer},
		"iss is an array":                          {object{"iss": []any{w.oidc.server.URL}}, ReasonJWTIssuer},
		"sub is missing":                           {object{"sub": absent}, ReasonJWTClaims},
		"sub is empty":                             {object{"sub": ""}, ReasonJWTClaims},
		"sub is a number":                          {object{"sub": 7}, ReasonJWTClaims},
		"sub with a NUL":                           {object{"sub": "a\x00b"}, ReasonJWTClaims},
		"sub with a line end and an ANSI sequence": {object{"sub": "a\n\x1b[31mb"}, ReasonJWTClaims},
		"sub that is not UTF-8":                    {object{"sub": "a\xffb"}, ReasonJWTClaims},
		"sub that is too long":                     {object{"sub": strings.Repeat("a", maxSubject+1)}, ReasonJWTClaims},
		"jti is missing":                           {object{"jti": absent}, ReasonJWTClaims},
		"jti is empty":                             {object{"jti": ""}, ReasonJWTClaims},
		"jti that is too long":                     {object{"jti": strings.Repeat("a", maxTokenID+1)}, ReasonJWTClaims},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.bearer(w.token(t, c.changes))
			if c.reason == "" && err == nil {
				return
			}
			wantReason(t, err, c.reason)
		})
	}
}

func TestClaimsMustBeOneObjectWithDistinctNames(t *testing.T) {
	w := newWorld(t, nil)
	good := string(encode(t, w.claims))
	for name, c := range map[string]struct {
		claims string
		reason Reason
	}{
		"a name twice":           {strings.Replace(good, "{", `{"sub":"other",`, 1), ReasonJWTClaims},
		"a nested name twice":    {strings.Replace(good, "{", `{"a":{"b":1,"b":2},`, 1), ReasonJWTClaims},
		"an array":               {"[" + good + "]", ReasonJWTClaims},
		"null":                   {"null", ReasonJWTIssuer},
		"text after the object":  {good + "x", ReasonMalformed},
		"a second object":        {good + good, ReasonMalformed},
		"nested 17 levels deep":  {strings.Replace(good, "{", `{"a":`+strings.Repeat("[", 17)+strings.Repeat("]", 17)+`,`, 1), ReasonJWTClaims},
		"nested 6000 levels":     {`{"a":` + strings.Repeat("[", 5900) + strings.Repeat("]", 5900) + `}`, ReasonJWTClaims},
		"nested and not closed":  {`{"a":` + strings.Repeat("[", 5900), ReasonMalformed},
		"empty":                  {"", ReasonMalformed},
		"a comma without reason": {strings.Replace(good, "}", ",}", 1), ReasonMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.bearer(signRaw(t, w.key, "ES256", encode(t, w.header), []byte(c.claims)))
			wantReason(t, err, c.reason)
		})
	}
}

// Threat 23: what makes a second use noticeable is the same on every replica, and lasts for
// as long as the token would be accepted. That exactly one of two uses succeeds is for the
// stores, whose conformance suite shows it.
func TestThreat23ReplayIsNoticeableOnEveryReplica(t *testing.T) {
	w := newWorld(t, nil)
	issuer, err := NewIssuer(w.oidc.config())
	if err != nil {
		t.Fatal(err)
	}
	replica, err := New(Config{Peers: peers{w.pki.Set()}, Tokens: w.tokens, Issuers: []*Issuer{issuer}})
	if err != nil {
		t.Fatal(err)
	}
	text := w.token(t, nil)
	one, err := w.bearer(text)
	if err != nil {
		t.Fatal(err)
	}
	two, err := replica.Authenticate(context.Background(), Credentials{Bearer: text}, w.now)
	if err != nil {
		t.Fatal(err)
	}
	if one.TokenID != "j1" || one.TokenID != two.TokenID || one.Issuer != two.Issuer || !one.ExpiresAt.Equal(two.ExpiresAt) {
		t.Errorf("two replicas see %q of %q and %q of %q", one.TokenID, one.Issuer, two.TokenID, two.Issuer)
	}
	_, err = w.bearerAt(text, one.ExpiresAt)
	wantReason(t, err, ReasonJWTExpired)
}

func TestReusableTokensNeedNoJTIAndAreNotRemembered(t *testing.T) {
	w := newWorld(t, func(c *IssuerConfig) { c.Reusable = true })
	for name, changes := range map[string]object{"without jti": {"jti": absent}, "with jti": nil} {
		caller, err := w.bearer(w.token(t, changes))
		if err != nil || caller.TokenID != "" {
			t.Errorf("%s: token ID %q, error %v", name, caller.TokenID, err)
		}
	}
}

// Threat 24: key IDs that lead elsewhere, and headers that bring a key along. No request is
// made for either.
func TestThreat24HeadersThatChooseTheKey(t *testing.T) {
	w := newWorld(t, nil)
	if _, err := w.bearer(w.token(t, nil)); err != nil {
		t.Fatal(err)
	}
	evil := catest.Key(t, ca.ECDSAP256)
	before := w.oidc.fetches.Load()
	for name, c := range map[string]struct {
		changes object
		reason  Reason
	}{
		"kid that climbs directories": {object{"kid": "../../../../dev/null"}, ReasonJWTKey},
		"kid that is a URL":           {object{"kid": w.oidc.server.URL + "/evil"}, ReasonJWTKey},
		"kid with a quote for SQL":    {object{"kid": "k1' OR '1'='1"}, ReasonJWTKey},
		"kid of a megabyte":           {object{"kid": strings.Repeat("k", 1<<20)}, ReasonMalformed},
		"kid of 257 bytes":            {object{"kid": strings.Repeat("k", 257)}, ReasonJWTHeader},
		"kid that is empty":           {object{"kid": ""}, ReasonJWTHeader},
		"kid that is a number":        {object{"kid": 1}, ReasonJWTHeader},
		"kid that is an array":        {object{"kid": []any{"k1"}}, ReasonJWTHeader},
		"a header of five KiB":        {object{"pad": strings.Repeat("k", 5<<10)}, ReasonJWTHeader},
		"jku":                         {object{"jku": w.oidc.server.URL + "/evil"}, ReasonJWTHeader},
		"x5u":                         {object{"x5u": w.oidc.server.URL + "/evil"}, ReasonJWTHeader},
		"jwk":                         {object{"jwk": jwk(t, evil.Public(), "k1")}, ReasonJWTHeader},
		"x5c":                         {object{"x5c": []string{"AAAA"}}, ReasonJWTHeader},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.bearer(sign(t, evil, with(w.header, c.changes), w.claims))
			wantReason(t, err, c.reason)
		})
	}
	if strayed := w.oidc.strayed.Load(); strayed != 0 {
		t.Errorf("%d requests were made to places that a token named", strayed)
	}
	if more := w.oidc.fetches.Load() - before; more > 1 {
		t.Errorf("unknown key IDs within ten seconds made %d fetches", more)
	}
}

// Threat 25: extensions that must be understood, and tokens that were made for another purpose.
func TestThreat25CritAndTyp(t *testing.T) {
	w := newWorld(t, nil)
	for name, c := range map[string]struct {
		changes object
		good    bool
	}{
		"no typ":                 {object{"typ": absent}, true},
		"typ JWT":                {object{"typ": "JWT"}, true},
		"typ jwt":                {object{"typ": "jwt"}, true},
		"typ JOSE":               {object{"typ": "JOSE"}, true},
		"typ at+jwt":             {object{"typ": "at+jwt"}, true},
		"typ logout+jwt":         {object{"typ": "logout+jwt"}, false},
		"typ dpop+jwt":           {object{"typ": "dpop+jwt"}, false},
		"typ secevent+jwt":       {object{"typ": "secevent+jwt"}, false},
		"typ empty":              {object{"typ": ""}, false},
		"typ null":               {object{"typ": nil}, false},
		"typ a number":           {object{"typ": 1}, false},
		"crit with b64":          {object{"crit": []any{"b64"}, "b64": false}, false},
		"crit with exp":          {object{"crit": []any{"exp"}}, false},
		"crit empty":             {object{"crit": []any{}}, false},
		"crit null":              {object{"crit": nil}, false},
		"an x5t that is ignored": {object{"x5t": "AAAA"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.bearer(sign(t, w.key, with(w.header, c.changes), w.claims))
			if c.good && err == nil {
				return
			}
			wantReason(t, err, ReasonJWTHeader)
		})
	}
}

func TestRoleComesFromTheConfiguredClaimOnly(t *testing.T) {
	w := newWorld(t, func(c *IssuerConfig) { c.RoleClaim = "/groups~1pando/role" })
	for name, c := range map[string]struct {
		changes object
		want    policy.Role
	}{
		"admin":                        {object{"groups/pando": object{"role": "admin"}}, policy.RoleAdmin},
		"viewer":                       {object{"groups/pando": object{"role": "viewer"}}, policy.RoleViewer},
		"no claim":                     {nil, policy.RoleNone},
		"another case":                 {object{"groups/pando": object{"role": "Admin"}}, policy.RoleNone},
		"an array":                     {object{"groups/pando": object{"role": []any{"admin"}}}, policy.RoleNone},
		"a scalar on the way":          {object{"groups/pando": "admin"}, policy.RoleNone},
		"a top-level claim named role": {object{"role": "admin"}, policy.RoleNone},
	} {
		caller, err := w.bearer(w.token(t, c.changes))
		if err != nil || caller.Role != c.want {
			t.Errorf("%s: role %q, error %v; want %q", name, caller.Role, err, c.want)
		}
	}
	plain := newWorld(t, nil)
	if caller, err := plain.bearer(plain.token(t, object{"role": "admin"})); err != nil || caller.Role != policy.RoleNone {
		t.Errorf("without a role claim: role %q, error %v", caller.Role, err)
	}
}

func TestMessagesRepeatNothingOfTheToken(t *testing.T) {
	w := newWorld(t, nil)
	const marker = "zqmarker"
	for _, text := range []string{
		marker,
		w.token(t, object{"aud": marker}),
		w.token(t, object{"iss": marker}),
		w.token(t, object{"exp": marker}),
		sign(t, w.key, with(w.header, object{"kid": marker}), w.claims),
		sign(t, w.key, with(w.header, object{"typ": marker}), w.claims),
	} {
		_, err := w.bearer(text)
		var e *Error
		if !errors.As(err, &e) || strings.Contains(e.Message, marker) || e.Message == "" {
			t.Errorf("message of %v", err)
		}
	}
}
