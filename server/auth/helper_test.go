package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// oidc is a real OIDC issuer on loopback TLS: a discovery document and a JWK Set, both
// replaceable while it runs.
type oidc struct {
	server  *httptest.Server
	fetches atomic.Int64 // of the JWK Set
	strayed atomic.Int64 // requests for anything else than the two documents

	mu       sync.Mutex
	jwks     http.HandlerFunc
	document http.HandlerFunc
}

func newOIDC(t testing.TB) *oidc {
	o := &oidc{}
	mux := http.NewServeMux()
	mux.HandleFunc(discoveryPath, func(w http.ResponseWriter, r *http.Request) { o.handler(&o.document)(w, r) })
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, r *http.Request) {
		o.fetches.Add(1)
		o.handler(&o.jwks)(w, r)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		o.strayed.Add(1)
		http.NotFound(w, r)
	})
	o.server = httptest.NewUnstartedServer(mux)
	o.server.Config.ErrorLog = log.New(io.Discard, "", 0) // of clients that do not trust it
	o.server.StartTLS()
	t.Cleanup(o.server.Close)
	o.document = body(map[string]string{"issuer": o.server.URL, "jwks_uri": o.server.URL + "/jwks"})
	return o
}

func (o *oidc) handler(h *http.HandlerFunc) http.HandlerFunc {
	o.mu.Lock()
	defer o.mu.Unlock()
	return *h
}

// serve replaces the JWK Set.
func (o *oidc) serve(h http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.jwks = h
}

// discover replaces the discovery document.
func (o *oidc) discover(h http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.document = h
}

func (o *oidc) config() IssuerConfig {
	pool := x509.NewCertPool()
	pool.AddCert(o.server.Certificate())
	return IssuerConfig{Name: "ci", Issuer: o.server.URL, Audiences: []string{"pando"}, RootCAs: pool}
}

func body(v any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(v) }
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// keySet is a JWK Set of the public halves of keys by key ID.
func keySet(t testing.TB, keys map[string]crypto.Signer) jwkset.JWKSMarshal {
	t.Helper()
	var set jwkset.JWKSMarshal
	for kid, key := range keys {
		set.Keys = append(set.Keys, jwk(t, key.Public(), kid))
	}
	return set
}

func jwk(t testing.TB, key any, kid string) jwkset.JWKMarshal {
	t.Helper()
	k, err := jwkset.NewJWKFromKey(key, jwkset.JWKOptions{
		Metadata: jwkset.JWKMetadataOptions{KID: kid}, Marshal: jwkset.JWKMarshalOptions{Private: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	return k.Marshal()
}

type object = map[string]any

// sign makes a JWT of any header and claims; alg in the header chooses the method.
func sign(t testing.TB, key any, header, claims object) string {
	t.Helper()
	return signRaw(t, key, header["alg"].(string), encode(t, header), encode(t, claims))
}

func signRaw(t testing.TB, key any, alg string, header, claims []byte) string {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	signature, err := jwt.GetSigningMethod(alg).Sign(text, key)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// with returns a copy of an object in which some members are replaced; those with the value
// absent are left out.
func with(o, changes object) object {
	changed := maps.Clone(o)
	for name, value := range changes {
		if value == absent {
			delete(changed, name)
			continue
		}
		changed[name] = value
	}
	return changed
}

const absent = "\x00absent"

// world is an authenticator with one issuer whose only key is an ES256 key "k1".
type world struct {
	*Authenticator
	oidc   *oidc
	key    crypto.Signer
	now    time.Time
	header object
	claims object
	tokens *fakeTokens
	seen   *recorder
	pki    *catest.CA
}

func newWorld(t testing.TB, change func(*IssuerConfig)) *world {
	t.Helper()
	w := &world{
		oidc: newOIDC(t), key: catest.Key(t, ca.ECDSAP256), now: time.Now().Truncate(time.Second),
		tokens: &fakeTokens{known: make(map[[32]byte]policy.JoinToken)}, seen: &recorder{},
		pki: catest.New(t, catest.Options{}),
	}
	w.header = object{"alg": "ES256", "typ": "JWT", "kid": "k1"}
	w.claims = object{
		"iss": w.oidc.server.URL, "aud": "pando", "sub": "workload-7", "jti": "j1",
		"iat": w.now.Unix(), "exp": w.now.Add(time.Hour).Unix(),
	}
	w.oidc.serve(body(keySet(t, map[string]crypto.Signer{"k1": w.key})))
	cfg := w.oidc.config()
	if change != nil {
		change(&cfg)
	}
	issuer, err := NewIssuer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.Authenticator, err = New(Config{
		Peers: peers{w.pki.Set()}, Tokens: w.tokens, Issuers: []*Issuer{issuer}, Observer: w.seen,
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// token is the good token with changes to its claims.
func (w *world) token(t testing.TB, changes object) string {
	return sign(t, w.key, w.header, with(w.claims, changes))
}

func (w *world) bearer(text string) (policy.Caller, error) { return w.bearerAt(text, w.now) }

func (w *world) bearerAt(text string, now time.Time) (policy.Caller, error) {
	return w.Authenticate(context.Background(), Credentials{Bearer: text, Address: "192.0.2.1"}, now)
}

// peers verifies against a real set, as server.Service does.
type peers struct{ set *ca.Set }

func (p peers) Peer(chain []*x509.Certificate, now time.Time) (policy.Peer, error) {
	id, err := p.set.VerifyPeer(chain[0], chain[1:], now)
	if err != nil {
		return policy.Peer{}, err
	}
	serial, ok := ca.SerialOf(chain[0])
	if !ok {
		return policy.Peer{}, errors.New("serial number is not one of this CA")
	}
	return policy.Peer{ID: id, Serial: serial}, nil
}

// fakeTokens is a store of join tokens that counts look-ups and can be away.
type fakeTokens struct {
	known   map[[32]byte]policy.JoinToken
	lookups int
	away    error
}

func (f *fakeTokens) JoinToken(_ context.Context, hash [32]byte) (policy.JoinToken, bool, error) {
	f.lookups++
	token, ok := f.known[hash]
	return token, ok, f.away
}

func (f *fakeTokens) add(text string, token policy.JoinToken) {
	f.known[sha256.Sum256([]byte(text))] = token
}

// recorder is an Observer that remembers.
type recorder struct {
	mu      sync.Mutex
	reasons []Reason
}

func (r *recorder) AuthnFailed(_ policy.Method, reason Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reasons = append(r.reasons, reason)
}

// wantReason fails the test unless err is a refusal for the reason.
func wantReason(t *testing.T, err error, want Reason) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got error %v, want a refusal with reason %s", err, want)
	}
	if e.Reason != want {
		t.Fatalf("got %v, want reason %s", e, want)
	}
	return e
}

func p521(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
