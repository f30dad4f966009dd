package client

import (
	"crypto/ecdsa"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

func FuzzAnswer(f *testing.F) {
	p := newFakePando(f.Errorf)
	key := newTestKey()
	good := p.answerWith(p.sign(leafTemplate(p.id, time.Hour), key.Public()))
	f.Add(must(json.Marshal(good)))
	f.Add([]byte(`{"certificate_chain":"","renewal":null,"bundle":{"trust_domain":"example.org","sequence":18446744073709551615}}`))
	f.Add([]byte(`[[[[[[`))
	trust := must(configuredTrust(p.bundle()))
	now := time.Now()
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := received(body, trust, key, spiffeid.ID{}, now)
		if err != nil {
			return
		}
		// Whatever is accepted must be this key's and verify, and have a window to wait for.
		if s.id.String() != p.id || !s.leaf().PublicKey.(*ecdsa.PublicKey).Equal(key.Public()) {
			t.Errorf("accepted %s", s.id)
		}
		if w := s.window; w.start.Before(s.leaf().NotBefore) || !w.start.Before(s.leaf().NotAfter) || w.end.Before(w.start) {
			t.Errorf("window %+v", w)
		}
	})
}

func FuzzBundle(f *testing.F) {
	p := newPKI("example.org")
	f.Add(p.bundle())
	f.Add([]byte("# roots\n" + encodePEM(p.root, p.issuer)))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		trust, err := configuredTrust(text)
		if err != nil {
			return
		}
		if trust.domain.IsZero() || len(trust.roots) == 0 || len(trust.roots) > maxRoots {
			t.Errorf("%d roots of %q", len(trust.roots), trust.domain)
		}
	})
}

func FuzzRefusal(f *testing.F) {
	f.Add(429, "17", []byte(`{"code":"rate_limited","detail":"slow down"}`))
	f.Add(503, "Sun, 01 Mar 2099 12:00:00 GMT", []byte(`{"code":1}`))
	f.Add(400, "", []byte("{\"code\":\"\x1b[31m\\n\",\"request_id\":\"\\u0000\"}"))
	f.Fuzz(func(t *testing.T, status int, after string, body []byte) {
		response := &http.Response{StatusCode: status, Header: http.Header{"Retry-After": {after}}}
		e := refusal("https://pando.test", response, body, time.Now())
		if e.RetryAfter < 0 || e.RetryAfter > maxRetryAfter {
			t.Errorf("Retry-After %q: %s", after, e.RetryAfter)
		}
		if text := e.Error(); strings.ContainsAny(text, "\n\r\x00\x1b") || len(text) > 6000 {
			t.Errorf("error %q", text)
		}
	})
}
