package client

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
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

// FuzzResponse reads what a server may send instead of an HTTP answer.
func FuzzResponse(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
	f.Add([]byte("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 100 Continue\r\n\r\n"))
	f.Add([]byte("HTTP/1.0 503 \r\nRetry-After: 1\r\nContent-Length: 99999999999\r\n\r\n"))
	request := must(http.NewRequest(http.MethodGet, "https://pando.test/v1/trust", nil))
	f.Fuzz(func(t *testing.T, sent []byte) {
		response, body, err := readResponse(bufio.NewReader(bytes.NewReader(sent)), request)
		switch {
		case err != nil:
			return
		case response.StatusCode < 200 && response.StatusCode != http.StatusSwitchingProtocols:
			t.Errorf("an interim answer: %s", response.Status)
		case len(body) > len(sent):
			t.Errorf("%d octets of %d", len(body), len(sent))
		}
	})
}

// FuzzPeer judges what a peer may show: certificates in DER, one after the other.
func FuzzPeer(f *testing.F) {
	p, other := newPKI("example.org"), newPKI("example.org")
	shown := func(chain []*x509.Certificate) (der []byte) {
		for _, cert := range chain {
			der = append(der, cert.Raw...)
		}
		return der
	}
	template := leafTemplate("spiffe://example.org/peer", time.Hour)
	f.Add(shown(p.sign(template, newTestKey().Public())))
	f.Add(shown(p.crossed(other).sign(template, newTestKey().Public())))
	f.Add(shown(other.sign(template, newTestKey().Public())))
	f.Add(shown([]*x509.Certificate{p.issuer, p.root}))
	f.Add(shown([]*x509.Certificate{p.root}))
	revoked, _, _ := (*revocations)(nil).with(&revocationList{Authorities: []keyID{keyIDOf(other.issuer)}}, time.Now())
	j := judge{rootsOf(1, p, other), revoked}
	now := time.Now()
	f.Fuzz(func(t *testing.T, der []byte) {
		certs, err := x509.ParseCertificates(der)
		if err != nil {
			return
		}
		id, chain, err := j.verify(certs, x509.ExtKeyUsageClientAuth, now)
		if err != nil {
			ReasonOf(err, now)
			return
		}
		if !id.MemberOf(j.trust.domain) || id.Path() == "" || certs[0].IsCA || len(chain) < 2 || !j.trust.holds(chain[len(chain)-1]) {
			t.Errorf("accepted %s with a chain of %d", id, len(chain))
		}
	})
}

// FuzzSerials compares the set of serial numbers with a map.
func FuzzSerials(f *testing.F) {
	f.Add(bytes.Repeat([]byte{0x7f, 1, 2, 3, 4}, 100), uint8(3), int64(0))
	f.Add(bytes.Repeat([]byte{0, 0, 0, 9, 1}, 80), uint8(1), int64(9))
	f.Fuzz(func(t *testing.T, octets []byte, batch uint8, since int64) {
		var set serials
		model := make(map[serial]bool)
		for more := range slices.Chunk(octets, 19*(1+int(batch))) {
			var given []serial
			for one := range slices.Chunk(more, 19) {
				var n serial
				if err := n.UnmarshalText([]byte(hex.EncodeToString(one))); err != nil {
					continue // the last may be too short
				}
				given = append(given, n)
			}
			added := 0
			for _, n := range given {
				if n.notAfter() >= since && !model[n] {
					model[n] = true
					added++
				}
			}
			next, got := set.with(given, time.Unix(since, 0))
			if got != added || next.len() != len(model) {
				t.Fatalf("%d added, %d in all; want %d and %d", got, next.len(), added, len(model))
			}
			set = next
		}
		kept, _ := set.since(time.Unix(since+1, 0))
		for n := range model {
			if !set.has(n) || n.notAfter() > since && !kept.has(n) {
				t.Errorf("%s is missing", n)
			}
		}
	})
}

func FuzzIdentity(f *testing.F) {
	p := newPKI("example.org")
	f.Add([]byte(identityText(p, "spiffe://example.org/web", time.Hour)))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n" + encodePEM(p.root)))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"))
	trust := must(configuredTrust(p.bundle()))
	f.Fuzz(func(t *testing.T, text []byte) {
		chain, key, err := parseIdentity(text)
		if err != nil {
			return
		}
		if len(chain) == 0 || len(chain) > maxChain || key == nil {
			t.Fatalf("%d certificates, key %v", len(chain), key)
		}
		s, err := adopt(trust, chain, key, spiffeid.ID{}, time.Now())
		if err != nil {
			return
		}
		// What is accepted is written as something that is accepted, and the same.
		again, sameKey, err := parseIdentity(must(encodeIdentity(s)))
		if err != nil || len(again) != len(chain) || !again[0].Equal(chain[0]) || matches(chain[0], sameKey) != nil {
			t.Errorf("read again: %v", err)
		}
	})
}

func FuzzState(f *testing.F) {
	p := newPKI("example.org")
	pair := p.identity(leafTemplate("spiffe://example.org/web", time.Hour))
	known, _, _ := (*revocations)(nil).with(&revocationList{
		Sequence: 3, Serials: []serial{randomSerial(time.Now().Add(time.Hour))}, Authorities: []keyID{{1}},
	}, time.Now())
	cur := fixedSnapshot(rootsOf(8, p), pair)
	cur.trust.learned, cur.revoked = true, known
	cur.told = window{start: time.Now(), end: time.Now().Add(time.Minute)}
	f.Add(must(json.Marshal(stateOf(cur, Status{LastSuccess: time.Now()}, "anchor"))))
	f.Add([]byte(`{"version":1,"certificate":{"renewal":{"start":"9999-12-31T23:59:59Z","end":"0001-01-01T00:00:00Z"}}}`))
	f.Add([]byte(`{"version":1,"bundle":{},"revocations":{}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		now := time.Now()
		st, err := parseState(text, cur.trust.domain, now)
		if err != nil {
			return
		}
		if st.trust != nil && (st.trust.domain != cur.trust.domain || len(st.trust.roots) == 0 || !st.trust.learned) {
			t.Errorf("bundle: %+v", st.trust)
		}
		if n := st.revoked.count(); n > maxKept {
			t.Errorf("%d revoked", n)
		}
		next := *cur
		st.certificate.Serial = next.serial()
		next.recall(st.certificate, now)
		if w := next.window; w.end.Before(w.start) || w.start.After(next.leaf().NotAfter) {
			t.Errorf("window %+v", w)
		}
	})
}

// FuzzSniff tells TLS from plaintext by the first octets of a connection, however they arrive, and
// hands on every one of them.
func FuzzSniff(f *testing.F) {
	f.Add([]byte("\x16\x03\x01\x02\x00\x01"), uint8(1))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), uint8(3))
	f.Add([]byte("\x16"), uint8(1))
	f.Add([]byte{}, uint8(0))
	f.Fuzz(func(t *testing.T, sent []byte, piece uint8) {
		conn := &piecemeal{left: sent, most: int(piece)}
		var a ahead
		isTLS, err := a.sniff(conn)
		enough := len(sent) > 1 || len(sent) == 1 && sent[0] != 0x16
		switch {
		case enough != (err == nil):
			t.Fatalf("% x: %v", sent, err)
		case isTLS != bytes.HasPrefix(sent, []byte{0x16, 0x03}):
			t.Errorf("% x: TLS is %v", sent, isTLS)
		case isTLS && a.isHTTP():
			t.Errorf("% x: TLS and HTTP", sent)
		}
		if err != nil {
			return
		}
		head := make([]byte, sniffed)
		if again := slices.Concat(head[:a.read(head)], conn.left); !bytes.Equal(again, sent) {
			t.Errorf("% x became % x", sent, again)
		}
	})
}

// piecemeal is a connection on which the octets arrive in pieces, at first none.
type piecemeal struct {
	net.Conn
	left   []byte
	most   int
	waited bool
}

func (c *piecemeal) Read(b []byte) (int, error) {
	switch {
	case !c.waited:
		c.waited = true
		return 0, nil
	case len(c.left) == 0:
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), 1+c.most)], c.left)
	c.left = c.left[n:]
	return n, nil
}

// FuzzPolicyFile reads what may be in a cache directory instead of a policy.
func FuzzPolicyFile(f *testing.F) {
	id := must(spiffeid.Parse("spiffe://example.org/web"))
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	f.Add(must(newPolicy(must(readPolicy([]byte(permissivePolicy))), nil, now).stored(id, "anchor")))
	f.Add([]byte(`{"spiffe_id":"spiffe://example.org/web","anchor":"anchor","policy":{"version":"a","overrides":[{"id":"o","side":"both",` +
		`"expires_at":"9999-12-31T23:59:59Z"}]},"seen":{"o":"9999-12-31T23:59:59Z"}}`))
	f.Add([]byte(`{"spiffe_id":"spiffe://example.org/other","policy":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := restoredPolicy(text, id, "anchor", now)
		if err != nil || p == nil {
			return
		}
		for _, r := range p.rules {
			if !r.mode.enforced() {
				t.Errorf("mode %q", r.mode)
			}
		}
		for _, o := range p.overrides { // whatever the file says of when it was first seen
			if !o.over(now.Add(maxOverride + overrideSkew)) {
				t.Errorf("%+v lasts for more than an hour", o)
			}
		}
	})
}
