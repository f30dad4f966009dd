package auth

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
)

func TestKeysAreFoundByDiscoveryURLOrFile(t *testing.T) {
	key := catest.Key(t, ca.ECDSAP256)
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, encode(t, keySet(t, map[string]crypto.Signer{"k1": key})), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*IssuerConfig){
		"discovery at the well-known place": func(*IssuerConfig) {},
		"discovery at a given place":        func(c *IssuerConfig) { c.DiscoveryURL = c.Issuer + discoveryPath },
		"JWKS URL":                          func(c *IssuerConfig) { c.JWKSURL = c.Issuer + "/jwks" },
		"JWKS file":                         func(c *IssuerConfig) { c.JWKSFile = file },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, change)
			w.key = key
			w.oidc.serve(body(keySet(t, map[string]crypto.Signer{"k1": key})))
			if _, err := w.bearer(w.token(t, nil)); err != nil {
				t.Error(err)
			}
		})
	}
}

// Threat 26: key sets that must not be believed, and places that must not be asked.
func TestThreat26KeySetsThatAreRefused(t *testing.T) {
	private := catest.Key(t, ca.ECDSAP256)
	public := jwk(t, catest.Key(t, ca.ECDSAP256).Public(), "good")
	symmetric := jwkset.JWKMarshal{KTY: "oct", KID: "k1", K: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
	encryption := public
	encryption.USE = jwkset.UseEnc
	signing := public
	signing.KEYOPS = []jwkset.KEYOPS{jwkset.KeyOpsSign}
	weak := jwkset.JWKMarshal{KTY: "RSA", KID: "k1", E: "AQAB", N: base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xFF}, 128))}
	exponent := jwkset.JWKMarshal{KTY: "RSA", KID: "k1", E: "Aw", N: base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xFF}, 256))}
	offCurve := public
	offCurve.X = offCurve.Y

	for name, c := range map[string]struct {
		keys []jwkset.JWKMarshal
		want string
	}{
		"no keys":                     {nil, "no key"},
		"a private key":               {[]jwkset.JWKMarshal{public, jwk(t, private, "k1")}, "private"},
		"a symmetric key":             {[]jwkset.JWKMarshal{public, symmetric}, "symmetric"},
		"only an encryption key":      {[]jwkset.JWKMarshal{encryption}, "no key"},
		"only a key for signing":      {[]jwkset.JWKMarshal{signing}, "no key"},
		"only RSA of 1024 bits":       {[]jwkset.JWKMarshal{weak}, "no key"},
		"only RSA with exponent 3":    {[]jwkset.JWKMarshal{exponent}, "no key"},
		"only a point off its curve":  {[]jwkset.JWKMarshal{offCurve}, "no key"},
		"only an unknown kind of key": {[]jwkset.JWKMarshal{{KTY: "PQC", KID: "k1"}}, "no key"},
		"a hundred keys and one":      {make([]jwkset.JWKMarshal, 101), "exceed"},
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := parseKeySet(encode(t, jwkset.JWKSMarshal{Keys: c.keys}))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %d keys and error %v, want an error about %q", len(keys), err, c.want)
			}
		})
	}
	keys, err := parseKeySet(encode(t, jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{weak, encryption, public}}))
	if err != nil || len(keys) != 1 || keys[0].id != "good" {
		t.Errorf("a good key among unusable ones: %v, %v", keys, err)
	}
}

func TestThreat26CertificatesBesideKeysAreNotFetched(t *testing.T) {
	w := newWorld(t, nil)
	k := jwk(t, w.key.Public(), "k1")
	k.X5U, k.X5C = w.oidc.server.URL+"/chain.pem", []string{"AAAA"}
	w.oidc.serve(body(jwkset.JWKSMarshal{Keys: []jwkset.JWKMarshal{k}}))
	if _, err := w.bearer(w.token(t, nil)); err != nil {
		t.Error(err)
	}
	if n := w.oidc.strayed.Load(); n != 0 {
		t.Errorf("%d requests for what a key points to", n)
	}
}

func TestThreat26AnswersThatAreRefused(t *testing.T) {
	ten := bytes.Repeat([]byte(" "), 10<<20)
	for name, c := range map[string]struct {
		jwks, document func(*oidc) http.HandlerFunc
		want           string
	}{
		"ten megabytes": {jwks: func(*oidc) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { w.Write(ten) }
		}, want: "larger than"},
		"a redirect to a good set": {jwks: func(o *oidc) http.HandlerFunc {
			good := o.jwks
			return func(w http.ResponseWriter, r *http.Request) {
				if r.URL.RawQuery != "" {
					good(w, r)
					return
				}
				http.Redirect(w, r, "/jwks?again", http.StatusFound)
			}
		}, want: "status 302"},
		"an error":     {jwks: func(*oidc) http.HandlerFunc { return status(http.StatusInternalServerError) }, want: "status 500"},
		"no content":   {jwks: func(*oidc) http.HandlerFunc { return status(http.StatusNoContent) }, want: "status 204"},
		"no JSON":      {jwks: func(*oidc) http.HandlerFunc { return body("<html>") }, want: "parse JWK set"},
		"a page":       {jwks: func(*oidc) http.HandlerFunc { return page("<html>") }, want: "parse JWK set"},
		"an empty set": {jwks: func(*oidc) http.HandlerFunc { return body(object{"keys": []any{}}) }, want: "no key"},
		"discovery of another issuer": {document: func(o *oidc) http.HandlerFunc {
			return body(object{"issuer": "https://elsewhere.example", "jwks_uri": o.server.URL + "/jwks"})
		}, want: "is that of issuer"},
		"discovery that leads to http": {document: func(o *oidc) http.HandlerFunc {
			return body(object{"issuer": o.server.URL, "jwks_uri": "http://127.0.0.1:1/jwks"})
		}, want: "is not https"},
		"discovery without jwks_uri": {document: func(o *oidc) http.HandlerFunc {
			return body(object{"issuer": o.server.URL})
		}, want: "jwks_uri"},
		"discovery that redirects": {document: func(*oidc) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusMovedPermanently) }
		}, want: "status 301"},
		"a header without an end": {jwks: func(*oidc) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 100<<10)) }
		}, want: "header"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			if c.jwks != nil {
				w.oidc.serve(c.jwks(w.oidc))
			}
			if c.document != nil {
				w.oidc.discover(c.document(w.oidc))
			}
			_, err := w.bearer(w.token(t, nil))
			e := wantReason(t, err, ReasonUnavailable)
			if !strings.Contains(e.Err.Error(), c.want) || e.RetryAfter == 0 {
				t.Errorf("cause %v with a wait of %s, want one about %q", e.Err, e.RetryAfter, c.want)
			}
		})
	}
}

func page(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) }
}

func TestThreat26UntrustedServerIsRefused(t *testing.T) {
	w := newWorld(t, func(c *IssuerConfig) { c.RootCAs = catest.New(t, catest.Options{}).RootPool() })
	_, err := w.bearer(w.token(t, nil))
	wantReason(t, err, ReasonUnavailable)
	if n := w.oidc.fetches.Load(); n != 0 {
		t.Errorf("%d keys were fetched from a server that is not trusted", n)
	}
}

func TestHTTPIsForLoopbackAddressesWhenAllowed(t *testing.T) {
	for address, c := range map[string]struct{ loopback, good bool }{
		"https://issuer.example/keys":        {false, true},
		"http://issuer.example/keys":         {true, false},
		"http://127.0.0.1:8080/keys":         {true, true},
		"http://[::1]:8080/keys":             {true, true},
		"http://[::ffff:127.0.0.1]/keys":     {true, true},
		"http://127.0.0.1:8080/keys?strict":  {false, false},
		"http://localhost/keys":              {true, false},
		"http://127.0.0.1.evil.example/keys": {true, false},
		"http://127.0.0.1@evil.example/keys": {true, false},
		"http://10.0.0.1/keys":               {true, false},
		"file:///etc/keys":                   {true, false},
		"ftp://127.0.0.1/keys":               {true, false},
		"https:///keys":                      {true, false},
		"https:issuer.example":               {true, false},
		"https://user@issuer.example/keys":   {true, false},
		"https://issuer.example/keys#one":    {true, false},
		"//issuer.example/keys":              {true, false},
		"":                                   {true, false},
	} {
		if err := checkURL(address, c.loopback); (err == nil) != c.good {
			t.Errorf("%q, loopback %v: %v", address, c.loopback, err)
		}
	}
}

func TestHTTPOnLoopbackWorks(t *testing.T) {
	key := catest.Key(t, ca.ECDSAP256)
	server := httptest.NewServer(body(keySet(t, map[string]crypto.Signer{"k1": key})))
	t.Cleanup(server.Close)
	w := newWorld(t, func(c *IssuerConfig) { c.JWKSURL, c.AllowHTTPLoopback = server.URL, true })
	w.key = key
	if _, err := w.bearer(w.token(t, nil)); err != nil {
		t.Error(err)
	}
}

// The keys of a real issuer are rotated: the new one is found at once, the old one goes with
// the next fetch.
func TestRotatedKeysAreFound(t *testing.T) {
	w := newWorld(t, nil)
	old := w.token(t, nil)
	if _, err := w.bearer(old); err != nil {
		t.Fatal(err)
	}
	next := catest.Key(t, ca.ECDSAP256)
	fresh := sign(t, next, with(w.header, object{"kid": "k2"}), w.claims)
	_, err := w.bearer(fresh)
	wantReason(t, err, ReasonJWTKey)

	w.oidc.serve(body(keySet(t, map[string]crypto.Signer{"k2": next})))
	_, err = w.bearer(fresh)
	wantReason(t, err, ReasonJWTKey) // the last fetch was a moment ago
	later := w.now.Add(minFetchInterval)
	if _, err := w.bearerAt(fresh, later); err != nil {
		t.Errorf("after the rotation: %v", err)
	}
	_, err = w.bearerAt(old, later)
	wantReason(t, err, ReasonJWTKey)
}

// Threat 26: an issuer that is down.
func TestThreat26CachedKeysStandInUntilTheyAreTooOld(t *testing.T) {
	w := newWorld(t, func(c *IssuerConfig) { c.MaxLifetime = 48 * time.Hour })
	text := w.token(t, object{"exp": w.now.Add(47 * time.Hour).Unix()})
	if _, err := w.bearer(text); err != nil {
		t.Fatal(err)
	}
	good := w.oidc.handler(&w.oidc.jwks)
	w.oidc.serve(status(http.StatusServiceUnavailable))

	if _, err := w.bearerAt(text, w.now.Add(defaultKeysMaxAge)); err != nil {
		t.Errorf("at the maximum age: %v", err)
	}
	tooOld := w.now.Add(defaultKeysMaxAge + time.Second)
	_, err := w.bearerAt(text, tooOld)
	if e := wantReason(t, err, ReasonUnavailable); e.RetryAfter != minFetchInterval {
		t.Errorf("retry after %s", e.RetryAfter)
	}
	_, err = w.bearerAt(sign(t, w.key, with(w.header, object{"kid": "new"}), w.claims), w.now.Add(time.Minute))
	wantReason(t, err, ReasonUnavailable) // it may be a new key; nobody can tell

	w.oidc.serve(good)
	if _, err := w.bearerAt(text, tooOld.Add(minFetchInterval)); err != nil {
		t.Errorf("when the issuer is back: %v", err)
	}
}

// Threat 24: a flood of unknown key IDs.
func TestThreat24FloodOfUnknownKeysMakesOneFetch(t *testing.T) {
	w := newWorld(t, nil)
	if _, err := w.bearer(w.token(t, nil)); err != nil {
		t.Fatal(err)
	}
	before := w.oidc.fetches.Load()
	text := sign(t, w.key, with(w.header, object{"kid": "unknown"}), w.claims)
	flood := func(now time.Time) {
		var group sync.WaitGroup
		for i := range 200 {
			group.Go(func() {
				address := fmt.Sprintf("192.0.2.%d", i) // too many from one would not be heard
				_, err := w.Authenticate(context.Background(), Credentials{Bearer: text, Address: address}, now)
				if !isReason(err, ReasonJWTKey) {
					t.Errorf("got %v", err)
				}
			})
		}
		group.Wait()
	}
	flood(w.now.Add(minFetchInterval))
	flood(w.now.Add(2*minFetchInterval - 1))
	if n := w.oidc.fetches.Load() - before; n != 1 {
		t.Errorf("400 unknown keys within ten seconds made %d fetches", n)
	}
	flood(w.now.Add(2 * minFetchInterval))
	if n := w.oidc.fetches.Load() - before; n != 2 {
		t.Errorf("ten seconds later there were %d fetches in all", n)
	}
}

func TestTokensWithoutKeyIDNeedExactlyOneKey(t *testing.T) {
	w := newWorld(t, nil)
	header := with(w.header, object{"kid": absent})
	if _, err := w.bearer(sign(t, w.key, header, w.claims)); err != nil {
		t.Errorf("one key: %v", err)
	}
	two := newWorld(t, nil)
	two.oidc.serve(body(keySet(t, map[string]crypto.Signer{"a": two.key, "b": catest.Key(t, ca.ECDSAP256), "c": catest.Key(t, ca.Ed25519)})))
	_, err := two.bearer(sign(t, two.key, header, two.claims))
	wantReason(t, err, ReasonJWTKey)
}
