package clienttest_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/api/apitest"
	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/client/clienttest"
)

// server is Pando, or its double: what the same script can be played with.
type server interface {
	joinToken(t *testing.T) string // for web
	revoke(t *testing.T, serial string)
	prepareRoot(t *testing.T)
	config(t *testing.T) client.Config // with a join token for web
	acknowledged(t *testing.T) uint64  // the sequence that everybody who follows has acknowledged
}

// servers starts both.
func servers(t *testing.T) map[string]server {
	doors := apitest.New(t, apitest.Options{})
	return map[string]server{"Pando": &pando{Doors: doors}, "the double": double{clienttest.New(t, clienttest.Options{})}}
}

// pando is the real doors on loopback.
type pando struct {
	*apitest.Doors
	pki   *catest.CA // after a preparation
	entry string
}

func (p *pando) order(t *testing.T, path string, in, out any) {
	t.Helper()
	response, err := p.HTTP(t, apitest.Operator).Post(p.URL+path, "application/json", bytes.NewReader(encode(t, in)))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= 300 {
		t.Fatalf("%s: %s %s %v", path, response.Status, body, err)
	}
	if err := json.Unmarshal(body, out); err != nil {
		t.Fatal(err)
	}
}

func (p *pando) joinToken(t *testing.T) string {
	t.Helper()
	var made struct{ ID, Token string }
	if p.entry == "" {
		p.order(t, "/v1/entries", map[string]any{"spiffe_id": web, "method": "join_token", "dns_names": []string{"web.example.org"}}, &made)
		p.entry = made.ID
	}
	p.order(t, "/v1/join-tokens", map[string]any{"entry_id": p.entry}, &made)
	return made.Token
}

func (p *pando) revoke(t *testing.T, serial string) {
	t.Helper()
	p.order(t, "/v1/certificates/"+serial+"/revoke", map[string]any{}, &struct{}{})
	known := func() bool { // as soon as the replica has read what it wrote
		_, answer := knock(t, p.config(t), exchange{method: http.MethodGet, path: "/v1/trust?after=0&revocations_after=0", cert: p.TLS(apitest.Workload).Certificates})
		return strings.Contains(string(answer), serial)
	}
	soon(t, known)
}

func (p *pando) prepareRoot(t *testing.T) {
	t.Helper()
	p.pki = p.PKI.Prepare(t)
	if err := p.Service.Adopt(p.pki.Set(), time.Now()); err != nil {
		t.Fatal(err)
	}
}

func (p *pando) config(t *testing.T) client.Config {
	var roots bytes.Buffer
	for _, root := range p.PKI.Set().Roots() {
		pem.Encode(&roots, &pem.Block{Type: "CERTIFICATE", Bytes: root.Raw})
	}
	return client.Config{Servers: []string{p.URL}, TrustBundle: roots.Bytes(), JoinToken: p.joinToken(t)}
}

func (p *pando) acknowledged(t *testing.T) uint64 {
	t.Helper()
	facts, err := p.Store.Facts(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for sequence, holders := range facts.Followers {
		if holders > 0 {
			return sequence
		}
	}
	return 0
}

// double is the double.
type double struct{ *clienttest.CA }

func (d double) joinToken(*testing.T) string { return d.JoinToken(web) }

func (d double) revoke(t *testing.T, serial string) {
	if n := d.Revoke(serial); n != 1 {
		t.Errorf("%d certificates are revoked", n)
	}
}

func (d double) prepareRoot(*testing.T) { d.PrepareRoot() }

func (d double) config(*testing.T) client.Config {
	cfg := d.Config(web)
	cfg.JWT, cfg.SPIFFEID, cfg.JoinToken = nil, "", d.JoinToken(web)
	return cfg
}

func (d double) acknowledged(*testing.T) uint64 {
	for _, h := range d.Holders() {
		if !h.Superseded && h.Acknowledged > 0 {
			return h.Acknowledged
		}
	}
	return 0
}

// exchange is one request.
type exchange struct {
	method, path, bearer string
	body                 []byte
	cert                 []tls.Certificate
}

// told is an answer as far as it has to be the same from both.
type told struct {
	Status                           int
	Type, Cache, Authenticate, Retry string
	Body                             any
}

// knock sends a request over a connection of its own.
func knock(t *testing.T, cfg client.Config, e exchange) (told, []byte) {
	t.Helper()
	transport := &http.Transport{DialContext: cfg.DialContext, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: e.cert}}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), e.method, cfg.Servers[0]+e.path, bytes.NewReader(e.body))
	if err != nil {
		t.Fatal(err)
	}
	if e.bearer != "" {
		request.Header.Set("Authorization", "Bearer "+e.bearer)
	}
	if e.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	h := response.Header
	if h.Get("X-Request-Id") == "" {
		t.Errorf("%s has no request ID", e.path)
	}
	return told{
		Status: response.StatusCode, Type: h.Get("Content-Type"), Cache: h.Get("Cache-Control"),
		Authenticate: h.Get("WWW-Authenticate"), Retry: h.Get("Retry-After"), Body: masked(t, body),
	}, body
}

// TestTheDoubleTellsTheTruth plays one script with Pando and with the double, and compares each
// answer, with each other and with the golden files.
func TestTheDoubleTellsTheTruth(t *testing.T) {
	answers := make(map[string]map[string]told)
	for name, s := range servers(t) {
		answers[name] = play(t, s)
	}
	if diff := cmp.Diff(answers["Pando"], answers["the double"]); diff != "" {
		t.Errorf("answers (-Pando +the double):\n%s", diff)
	}
	for step, file := range map[string]string{
		"enrol": "sign-response.json", "renew": "renew-response.json", "poll": "trust.json",
		"what is revoked": "trust-revocations.json", "another identity": "error.json",
	} {
		data, err := os.ReadFile(filepath.Join("..", "..", "api", "testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(shape(masked(t, data)), shape(answers["the double"][step].Body)); diff != "" {
			t.Errorf("%s: shape (-%s +the double):\n%s", step, file, diff)
		}
	}
}

// play asks for everything that a client asks for, and for what it should not.
func play(t *testing.T, s server) map[string]told {
	t.Helper()
	answers := make(map[string]told)
	cfg := s.config(t)
	knock := func(name string, e exchange) []byte {
		t.Helper()
		answer, body := knock(t, cfg, e)
		answers[name] = answer
		return body
	}
	enrol := func(name, bearer string, in map[string]any) []byte {
		t.Helper()
		return knock(name, exchange{method: http.MethodPost, path: "/v1/certificates", bearer: bearer, body: encode(t, in)})
	}
	renew := func(name string, cert tls.Certificate, in map[string]any) []byte {
		t.Helper()
		return knock(name, exchange{method: http.MethodPost, path: "/v1/certificates/renew", cert: []tls.Certificate{cert}, body: encode(t, in)})
	}
	poll := func(name, query string, cert ...tls.Certificate) {
		t.Helper()
		knock(name, exchange{method: http.MethodGet, path: "/v1/trust" + query, cert: cert})
	}
	signer, der := catest.CSR(t, ca.ECDSAP256)
	csr, other := csrPEM(der), csrPEM(second(catest.CSR(t, ca.Ed25519)))

	token := s.joinToken(t)
	enrol("another identity", token, map[string]any{"csr": csr, "spiffe_id": "spiffe://example.org/db"})
	enrol("another profile", token, map[string]any{"csr": csr, "profile": "server"})
	enrol("too long", token, map[string]any{"csr": csr, "duration": "90000s"})
	enrol("too short", token, map[string]any{"csr": csr, "duration": "0.5s"})
	enrol("no duration", token, map[string]any{"csr": csr, "duration": "long"})
	enrol("no CSR", token, map[string]any{"csr": "a CSR"})
	enrol("an unknown field", token, map[string]any{"csr": csr, "cn": "web"})
	enrol("no credentials", "", map[string]any{"csr": csr})
	enrol("an unknown token", "pjt_"+strings.Repeat("A", 43), map[string]any{"csr": csr})
	enrol("an unknown JWT", "e30.e30.e30", map[string]any{"csr": csr})
	first := enrol("enrol", token, map[string]any{"csr": csr, "spiffe_id": web, "dns_names": []string{"web.example.org"}, "profile": "workload", "duration": "3600s"})
	enrol("enrol again with the same key", token, map[string]any{"csr": csr})
	enrol("enrol again with another", token, map[string]any{"csr": other})

	cert := pair(t, first, signer)
	renew("renew", cert, map[string]any{"csr": other})
	renew("renew without a CSR", cert, map[string]any{})
	knock("renew with a token", exchange{method: http.MethodPost, path: "/v1/certificates/renew", bearer: s.joinToken(t), body: encode(t, map[string]any{"csr": other})})
	poll("poll", "?after=0&wait=1s", cert)
	poll("poll without a certificate", "?after=0")
	poll("poll for revocations", "?after=0&revocations_after=0", cert)
	poll("poll with a parameter too many", "?after=0&before=1", cert)
	poll("poll with an empty one", "?after=", cert)
	poll("poll with a number that is none", "?after=soon", cert)
	poll("poll for a negative time", "?after=0&wait=-1s", cert)
	poll("poll for the policy", "?after=0&mtls_version=", cert)
	report := func(name, body string, cert ...tls.Certificate) {
		t.Helper()
		knock(name, exchange{method: http.MethodPost, path: "/v1/mtls/report", body: []byte(body), cert: cert})
	}
	report("report", `{"instance":"0123456789abcdef","listeners":[{"name":"api","mode":"strict","from":"code","observed_since":"2026-03-01T00:00:00Z"}]}`, cert)
	report("report of nothing", `{"instance":"0123456789abcdef","listeners":[]}`, cert)
	report("report without a certificate", `{"instance":"0123456789abcdef","listeners":[]}`)
	report("report without an instance", `{"listeners":[]}`, cert)
	report("report without a beginning", `{"instance":"0123456789abcdef","listeners":[{"name":"api","mode":"strict","from":"code"}]}`, cert)
	report("report of a mode that is none", `{"instance":"0123456789abcdef","listeners":[{"name":"api","mode":"mutual","from":"code","observed_since":"2026-03-01T00:00:00Z"}]}`, cert)
	knock("a path that is none", exchange{method: http.MethodGet, path: "/v1/forest"})
	knock("a method that is none", exchange{method: http.MethodDelete, path: "/v1/trust"})

	s.revoke(t, fmt.Sprintf("%038x", cert.Leaf.SerialNumber))
	renew("renew what is revoked", cert, map[string]any{"csr": other})
	poll("poll with what is revoked", "?after=0&wait=1s", cert)
	enrol("a repetition of what is revoked", token, map[string]any{"csr": csr})
	good := pair(t, enrol("enrol anew", s.joinToken(t), map[string]any{"csr": csr, "dns_names": []string{"web.example.org"}}), signer)
	poll("what is revoked", "?after=0&revocations_after=0", good)
	s.prepareRoot(t)
	poll("two roots", "?after=1&wait=1s", good)
	return answers
}

// TestASourceSeesNoDifference has the same program run with both.
func TestASourceSeesNoDifference(t *testing.T) {
	seen := make(map[string][]string)
	for name, s := range servers(t) {
		see := func(format string, args ...any) { seen[name] = append(seen[name], fmt.Sprintf(format, args...)) }
		source := open(t, s.config(t))
		first := source.Status()
		due := first.RenewalDue.Sub(first.NotBefore)
		see("enrolled as %s for %s, due in the middle: %t", first.ID, first.NotAfter.Sub(first.NotBefore), due > 20*time.Minute && due < 40*time.Minute)
		soon(t, func() bool { return source.Status().Following })
		peer := open(t, s.config(t))
		s.prepareRoot(t)
		soon(t, func() bool { return source.Status().BundleSequence == first.BundleSequence+1 })
		see("%d roots", len(source.Roots()))
		soon(t, func() bool { return s.acknowledged(t) == first.BundleSequence+1 })
		s.revoke(t, peer.Status().Serial)
		soon(t, func() bool { return source.Status().RevokedCertificates == 1 })
		soon(t, func() bool { return peer.Status().Revoked })
		see("the same certificate: %t, of the source, %t of the peer", source.Status().Serial == first.Serial, peer.Status().Revoked)
	}
	if diff := cmp.Diff(seen["Pando"], seen["the double"]); diff != "" || len(seen["Pando"]) != 3 {
		t.Errorf("seen (-Pando +the double):\n%s", diff)
	}
}

// soon returns once f is true, in real time.
func soon(t *testing.T, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("it does not become true")
		}
	}
}
