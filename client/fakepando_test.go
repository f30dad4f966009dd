package client

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// fakePando answers as Pando does, and complains when its client breaks a rule.
type fakePando struct {
	*pki
	id       string // of the workload
	lifetime time.Duration
	complain func(format string, args ...any)

	// renewAt overrides the start of the renewal window, which is the middle of the lifetime.
	renewAt func(leaf *x509.Certificate) time.Time
	// hook sees each call, numbered from 1, before it is answered; true: it has answered.
	hook func(n int, w http.ResponseWriter, c fakeCall) bool
	// edit changes a good answer before it is sent.
	edit func(n int, c fakeCall, a *answer)
	// old: there is no trust poll, or not at that host.
	old     bool
	oldHost string
	// strict: certificates that do not verify under the bundle are complained of.
	strict bool
	// pollHook is hook for the polls.
	pollHook func(n int, w http.ResponseWriter, r *http.Request, p fakePoll) bool

	fakeRevocations // guarded by mu
	fakePolicy      // guarded by mu

	mu       sync.Mutex
	roots    []*x509.Certificate
	sequence uint64
	calls    []fakeCall
	keys     map[string]string // key → the token that may repeat it, "-" if none
	tokens   map[string]answer // by token + key
	inFlight int
	serving  map[string]*tls.Certificate // by identity
	polls    []fakePoll
	unheard  []time.Time        // when somebody asked for what is not there
	changed  chan struct{}      // closed when there is something to tell
	windows  map[string]renewal // by serial number
}

// fakeCall is one request as the server saw it.
type fakeCall struct {
	At      time.Time
	Host    string
	Path    string
	Bearer  string
	Peer    string // serial number of the client certificate in hex
	Key     string // SHA-256 of the CSR's key in hex
	Request signRequest

	csr *x509.CertificateRequest
}

func newFakePando(complain func(string, ...any)) *fakePando {
	p := newPKI("example.org")
	return &fakePando{
		pki: p, id: "spiffe://example.org/web", lifetime: time.Hour, complain: complain,
		roots: []*x509.Certificate{p.root}, sequence: 7,
		keys: make(map[string]string), tokens: make(map[string]answer),
		changed: make(chan struct{}), windows: make(map[string]renewal),
		serving: make(map[string]*tls.Certificate),
	}
}

// serve serves on l until stop is called, as the identity id.
func (f *fakePando) serve(l net.Listener, id string) (stop func()) {
	f.change(func() { f.serveWith(id, f.pki) })
	server := &http.Server{
		Handler: f, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{
			ClientAuth: tls.RequestClientCert,
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				f.mu.Lock()
				defer f.mu.Unlock()
				return f.serving[id], nil
			},
		},
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.ServeTLS(l, "", "")
	}()
	return func() {
		server.Close()
		<-done
	}
}

// serveWith gives the server of an identity a certificate of p. The caller holds mu.
func (f *fakePando) serveWith(id string, p *pki) {
	cert := p.identity(leafTemplate(id, 90*24*time.Hour))
	f.serving[id] = &cert
}

// check complains of a certificate that Pando would not take.
func (f *fakePando) check(r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.strict || len(r.TLS.PeerCertificates) == 0 {
		return
	}
	held := must(newTrust(must(spiffeid.ParseTrustDomain(f.domain)), f.roots))
	if _, _, err := held.verify(r.TLS.PeerCertificates, x509.ExtKeyUsageClientAuth, time.Now()); err != nil {
		f.complain("%s: %v", r.URL.Path, err)
	}
}

func (f *fakePando) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.check(r)
	if r.URL.Path == trustPath {
		f.serveTrust(w, r)
		return
	}
	if r.URL.Path == reportPath {
		f.serveReport(w, r)
		return
	}
	c, err := readCall(r)
	if err != nil {
		f.complain("request: %v", err)
		writeProblem(w, 400, "invalid_request", err.Error())
		return
	}
	n := f.enter(c)
	defer f.leave()
	f.mu.Lock()
	hook, edit := f.hook, f.edit
	f.mu.Unlock()
	if hook != nil && hook(n, w, c) {
		return
	}
	a, ok := f.answer(c, r)
	if !ok {
		writeProblem(w, http.StatusUnauthorized, "token_used", "the join token is already used")
		return
	}
	if edit != nil {
		edit(n, c, &a)
	}
	f.remember(a)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	json.NewEncoder(w).Encode(a)
}

func readCall(r *http.Request) (fakeCall, error) {
	c := fakeCall{At: time.Now(), Host: r.Host, Path: r.URL.Path}
	c.Bearer = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if len(r.TLS.PeerCertificates) > 0 {
		c.Peer = fmt.Sprintf("%038x", r.TLS.PeerCertificates[0].SerialNumber)
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c.Request); err != nil {
		return c, err
	}
	block, rest := pem.Decode([]byte(c.Request.CSR))
	if block == nil || len(rest) > 0 {
		return c, fmt.Errorf("CSR is not one PEM block: %q", c.Request.CSR)
	}
	var err error
	if c.csr, err = x509.ParseCertificateRequest(block.Bytes); err != nil {
		return c, err
	}
	digest := sha256.Sum256(c.csr.RawSubjectPublicKeyInfo)
	c.Key = hex.EncodeToString(digest[:])
	return c, c.csr.CheckSignature()
}

// enter records a call and checks the rules that a client must keep.
func (f *fakePando) enter(c fakeCall) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inFlight++
	if f.inFlight > 1 {
		f.complain("%d requests in flight", f.inFlight)
	}
	if (c.Bearer == "") == (c.Peer == "") {
		f.complain("want a bearer token or a certificate, got token %q and certificate %q", c.Bearer, c.Peer)
	}
	if (c.Path == renewPath) != (c.Peer != "") {
		f.complain("%s with certificate %q", c.Path, c.Peer)
	}
	if token, used := f.keys[c.Key]; used && (token == "-" || token != c.Bearer) {
		f.complain("a key was used for a second certificate")
	}
	f.keys[c.Key] = "-"
	if strings.HasPrefix(c.Bearer, "pjt_") {
		f.keys[c.Key] = c.Bearer
	}
	f.calls = append(f.calls, c)
	return len(f.calls)
}

func (f *fakePando) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inFlight--
}

// answer issues a certificate; false if the join token is spent.
func (f *fakePando) answer(c fakeCall, r *http.Request) (answer, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.Peer != "" && time.Now().After(r.TLS.PeerCertificates[0].NotAfter) {
		f.complain("renewal with an expired certificate")
	}
	if strings.HasPrefix(c.Bearer, "pjt_") {
		if known, spent := f.tokens[c.Bearer]; spent {
			return known, f.tokens[c.Bearer+c.Key].CertificateChain != ""
		}
	}
	a := f.issue(c)
	if c.Bearer != "" {
		f.tokens[c.Bearer], f.tokens[c.Bearer+c.Key] = a, a
	}
	return a, true
}

func (f *fakePando) issue(c fakeCall) answer {
	return f.answerWith(f.sign(leafTemplate(f.id, f.lifetime), c.csr.PublicKey))
}

// answerWith wraps a chain as an answer with the current bundle.
func (f *fakePando) answerWith(chain []*x509.Certificate) answer {
	leaf := chain[0]
	start := leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2)
	if f.renewAt != nil {
		start = f.renewAt(leaf)
	}
	return answer{
		CertificateChain: encodePEM(chain...),
		Renewal:          renewal{Start: start, End: start.Add(f.lifetime / 10)},
		Bundle:           f.bundleNow(),
	}
}

func (f *fakePando) bundleNow() bundle {
	return bundle{TrustDomain: f.domain, Sequence: f.sequence, Roots: encodePEM(f.roots...)}
}

// seen returns the calls so far.
func (f *fakePando) seen() []fakeCall {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]fakeCall(nil), f.calls...)
}

func writeProblem(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(problem{Code: code, Detail: detail, RequestID: "req-1"})
}

// remember keeps the window of a certificate for its polls.
func (f *fakePando) remember(a answer) {
	block, _ := pem.Decode([]byte(a.CertificateChain))
	if block == nil {
		return
	}
	if leaf, err := x509.ParseCertificate(block.Bytes); err == nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.windows[fmt.Sprintf("%038x", leaf.SerialNumber)] = a.Renewal
	}
}
