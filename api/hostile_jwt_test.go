package api_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/durationpb"

	apiv1 "github.com/pando-ca/pando/api/v1"

	"github.com/pando-ca/pando/api/apitest"
	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server/auth"
	"github.com/pando-ca/pando/store"
)

const jwtIssuer = "https://ci.example.org"

// jobs are the holders of good JWTs of one issuer.
type jobs struct {
	doors *apitest.Doors
	key   *ecdsa.PrivateKey
}

// newJobs runs the doors with an issuer whose tokens give no role, and three entries: one for
// the jobs of team a, one whose first segment is a claim, and one below Pando's own.
func newJobs(t *testing.T) *jobs { return newLoggedJobs(t, slog.New(slog.DiscardHandler)) }

func newLoggedJobs(t *testing.T, log *slog.Logger) *jobs {
	t.Helper()
	j := &jobs{key: catest.Key(t, ca.ECDSAP256).(*ecdsa.PrivateKey)}
	var authenticator *auth.Authenticator
	j.doors = apitest.New(t, apitest.Options{
		Log: log,
		Authenticate: func(ctx context.Context, c auth.Credentials, now time.Time) (policy.Caller, error) {
			return authenticator.Authenticate(ctx, c, now)
		},
	})
	issuer, err := auth.NewIssuer(auth.IssuerConfig{
		Name: "ci", Issuer: jwtIssuer, Audiences: []string{"pando"}, Algorithms: []string{"ES256"}, JWKSFile: j.keyFile(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	authenticator, err = auth.New(auth.Config{
		Peers: j.doors.Service, Tokens: j.doors.Service, Issuers: []*auth.Issuer{issuer}, FailureRate: -1, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, entry := range map[string]store.Entry{
		"ent_team":  {SPIFFEID: "spiffe://example.org/team/{sub}", Claims: map[string]string{"team": "a"}},
		"ent_first": {SPIFFEID: "spiffe://example.org/{area}/{sub}", Claims: map[string]string{"team": "first"}},
		"ent_pando": {SPIFFEID: "spiffe://example.org/pando/admin/{sub}", Claims: map[string]string{"team": "pando"}},
	} {
		entry.ID, entry.Method, entry.Issuer, entry.Profile, entry.CreatedAt, entry.CreatedBy = id, "jwt", "ci", "workload", time.Now(), "test"
		audit := store.Audit{At: time.Now(), Actor: "test", Action: "entry.create", Target: id}
		if err := j.doors.Store.CreateEntry(t.Context(), entry, audit); err != nil {
			t.Fatal(err)
		}
	}
	return j
}

func (j *jobs) keyFile(t *testing.T) string {
	t.Helper()
	point, err := j.key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	text := base64.RawURLEncoding.EncodeToString
	set, err := json.Marshal(map[string]any{"keys": []any{map[string]string{
		"kty": "EC", "crv": "P-256", "kid": "1", "use": "sig", "x": text(point[1:33]), "y": text(point[33:]),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(path, set, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// token is a good JWT with more claims.
func (j *jobs) token(t *testing.T, more map[string]any) string {
	t.Helper()
	now := time.Now()
	claims := jwt.MapClaims{
		"iss": jwtIssuer, "aud": "pando", "sub": "job", "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
	}
	maps.Copy(claims, more)
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"] = "1"
	text, err := token.SignedString(j.key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sign asks for a certificate and returns its SPIFFE ID, or the code and the rule.
func (j *jobs) sign(t *testing.T, token string, in *apiv1.SignCertificateRequest) string {
	t.Helper()
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
	answer, err := apiv1.NewCertificateServiceClient(j.doors.GRPC(t, apitest.Anonymous)).SignCertificate(ctx, in)
	if err == nil {
		return answer.GetSpiffeId()
	}
	info, _ := errorInfo(err)
	return strings.TrimSpace(info.GetReason() + " " + info.GetMetadata()["rule"])
}

// TestWhatAJWTCannotHave tries, with good JWTs, for more than their entries give.
func TestWhatAJWTCannotHave(t *testing.T) {
	j := newJobs(t)
	type claims = map[string]any
	type want = apiv1.SignCertificateRequest
	tests := map[string]struct {
		claims claims
		in     *want
		want   string
	}{
		"what is due":                         {claims{"team": "a"}, &want{}, "spiffe://example.org/team/job"},
		"what is due, by name":                {claims{"team": "a"}, &want{SpiffeId: "spiffe://example.org/team/job"}, "spiffe://example.org/team/job"},
		"the identity of another job":         {claims{"team": "a"}, &want{SpiffeId: "spiffe://example.org/team/other"}, "policy_denied identity"},
		"no entry":                            {claims{"team": "b"}, &want{}, "policy_denied no_entry"},
		"a path in a claim":                   {claims{"team": "a", "sub": "x/y"}, &want{}, "policy_denied claim"},
		"a way back in a claim":               {claims{"team": "a", "sub": ".."}, &want{}, "policy_denied claim"},
		"a star in a claim":                   {claims{"team": "a", "sub": "*"}, &want{}, "policy_denied claim"},
		"a template in a claim":               {claims{"team": "a", "sub": "{team}"}, &want{}, "policy_denied claim"},
		"an escape in a claim":                {claims{"team": "a", "sub": "%2e"}, &want{}, "policy_denied claim"},
		"a claim that is Pando's own":         {claims{"team": "first", "area": "pando"}, &want{}, "policy_denied reserved"},
		"an administrator by a claim":         {claims{"team": "pando", "sub": "admin"}, &want{}, "policy_denied reserved"},
		"a DNS name":                          {claims{"team": "a"}, &want{DnsNames: []string{"example.org"}}, "policy_denied dns_name"},
		"the profile of servers":              {claims{"team": "a"}, &want{Profile: "server"}, "policy_denied profile"},
		"a longer life":                       {claims{"team": "a"}, &want{Duration: durationpb.New(25 * time.Hour)}, "policy_denied duration"},
		"a role that the issuer may not give": {claims{"team": "a", "role": "admin"}, &want{SpiffeId: "spiffe://example.org/pando/admin/x"}, "policy_denied identity"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.in.Csr = pemCSR(t)
			if got := j.sign(t, j.token(t, test.claims), test.in); got != test.want {
				t.Errorf("the answer is %q, want %q", got, test.want)
			}
		})
	}
}

// TestAJWTIsGoodForOneCertificate uses one token twice, through both doors, and for a batch.
func TestAJWTIsGoodForOneCertificate(t *testing.T) {
	j := newJobs(t)
	token := j.token(t, map[string]any{"team": "a"})
	if got := j.sign(t, token, &apiv1.SignCertificateRequest{Csr: pemCSR(t)}); !strings.HasPrefix(got, "spiffe://") {
		t.Fatal(got)
	}
	if got := j.sign(t, token, &apiv1.SignCertificateRequest{Csr: pemCSR(t)}); got != "replayed" {
		t.Errorf("the second use gives %q", got)
	}
	for path, c := range map[string]struct {
		token, body string
		want        int
	}{
		"/v1/certificates":       {token, pemCSR(t), http.StatusUnauthorized},
		"/v1/certificates/renew": {j.token(t, map[string]any{"team": "a"}), pemCSR(t), http.StatusForbidden},
		"/v1/certificates/batch": {j.token(t, map[string]any{"team": "a"}), `{"requests":[{"csr":"x"},{"csr":"y"}]}`, http.StatusForbidden},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, j.doors.URL+path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+c.token)
		r.Header.Set("Content-Type", "application/pkcs10")
		if strings.HasPrefix(c.body, "{") {
			r.Header.Set("Content-Type", "application/json")
		}
		response, err := j.doors.HTTP(t, apitest.Anonymous).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != c.want {
			t.Errorf("%s answers %s, want %d", path, response.Status, c.want)
		}
	}
	for _, path := range []string{"/v1/certificates", "/v1/entries"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, j.doors.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+j.token(t, map[string]any{"team": "a", "role": "admin"}))
		response, err := j.doors.HTTP(t, apitest.Anonymous).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusForbidden {
			t.Errorf("reading %s answers %s", path, response.Status)
		}
	}
}
