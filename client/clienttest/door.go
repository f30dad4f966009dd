package clienttest

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// Operation is what a client asks for.
type Operation string

// The operations.
const (
	Enrol Operation = "enrol" // POST /v1/certificates
	Renew Operation = "renew" // POST /v1/certificates/renew
	Poll  Operation = "poll"  // GET /v1/trust
	Tell  Operation = "tell"  // POST /v1/mtls/report
)

// operations are all, by path and method.
func operations() map[string]map[string]Operation {
	return map[string]map[string]Operation{
		"/v1/certificates":       {http.MethodPost: Enrol},
		"/v1/certificates/renew": {http.MethodPost: Renew},
		"/v1/trust":              {http.MethodGet: Poll},
		"/v1/mtls/report":        {http.MethodPost: Tell},
	}
}

// exchange is one request on its way through.
type exchange struct {
	r         *http.Request
	operation Operation
	note      *Request // the CA's mutex guards it
	body      []byte
	bad       error // why there is no body
}

// serve answers one request.
func (c *CA) serve(w http.ResponseWriter, r *http.Request) {
	id := requestID()
	methods, known := operations()[r.URL.Path]
	x := &exchange{r: r, operation: methods[r.Method]}
	if x.operation == "" {
		no := &refusal{status: http.StatusNotFound, code: "not_found", detail: "there is nothing at this path"}
		if known {
			no = &refusal{status: http.StatusMethodNotAllowed, code: "invalid_request", detail: "this path does not take the method"}
		}
		write(w, id, 0, nil, no)
		return
	}
	x.body, x.bad = body(w, r)
	x.note = c.note(r, x.operation)
	status, answer, err := c.answer(x)
	if errors.Is(err, errCut) || c.losesAnswer(x.operation) {
		c.answered(x.note, "lost")
		panic(http.ErrAbortHandler) // cuts the connection, and says nothing in the log
	}
	c.answered(x.note, codeOf(err))
	if x.operation == Poll && err == nil {
		w.Header().Set("Cache-Control", "no-store")
	}
	write(w, id, status, answer, err)
}

// answer lets the faults have their way, and does what is asked.
func (c *CA) answer(x *exchange) (status int, answer any, err error) {
	if err := c.fault(x.r.Context(), x.operation); err != nil {
		return 0, nil, err
	}
	switch x.operation {
	case Enrol:
		answer, err = c.enrol(x)
		return http.StatusCreated, answer, err
	case Renew:
		answer, err = c.renew(x)
		return http.StatusCreated, answer, err
	case Tell:
		return http.StatusNoContent, nil, c.report(x)
	}
	answer, err = c.poll(x)
	return http.StatusOK, answer, err
}

// enrol answers a CSR that came with a token.
func (c *CA) enrol(x *exchange) (*signResponse, error) {
	bearer, ok := strings.CutPrefix(x.r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil, unauthenticated("credentials are required")
	}
	c.mu.Lock()
	_, err := c.token(bearer) // before anything of the body counts
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	var in signRequest
	if err := x.decode(&in); err != nil {
		return nil, err
	}
	csr, err := parseCSR(in.CSR)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t, err := c.token(bearer) // of two who show it at once, one is the first
	if err != nil {
		return nil, err
	}
	x.note.ID = t.id.String()
	key := sha256.Sum256(csr.RawSubjectPublicKeyInfo)
	if t.used {
		x.note.Issued = t.serial
		return c.repeat(t, key)
	}
	want, err := in.wanted(t.id, csr)
	if err != nil {
		return nil, err
	}
	rec, err := c.issue(want)
	if err != nil {
		return nil, err
	}
	t.used, t.usedAt, t.key, t.serial = true, c.now(), key, serialText(rec.leaf)
	x.note.Issued = t.serial
	c.wake()
	return c.signed(rec), nil
}

// token returns the token with this text. The caller holds mu.
func (c *CA) token(text string) (*token, error) {
	t := c.tokens[text]
	switch {
	case t == nil && strings.HasPrefix(text, "pjt_"):
		return nil, unauthenticated("there is no such join token")
	case t == nil:
		return nil, unauthenticated("the JWT is not accepted")
	case t.used && !t.once:
		return nil, &refusal{status: http.StatusUnauthorized, code: "replayed", detail: "the token was used before"}
	case !t.used && !c.now().Before(t.expires):
		if t.once {
			return nil, &refusal{status: http.StatusUnauthorized, code: "token_expired", detail: "the join token has expired"}
		}
		return nil, unauthenticated("the JWT has expired")
	}
	return t, nil
}

// repeat gives an answer that may have been lost once more. The caller holds mu.
func (c *CA) repeat(t *token, key [sha256.Size]byte) (*signResponse, error) {
	rec := c.records[t.serial]
	switch {
	case key != t.key, c.now().Sub(t.usedAt) > repeatWindow, c.now().After(rec.leaf.NotAfter):
		return nil, &refusal{status: http.StatusUnauthorized, code: "token_used", detail: "the join token is already used"}
	case rec.revoked:
		return nil, errRevoked()
	}
	return c.signed(rec), nil
}

// wanted judges what a request asks for beside the identity that its token gives.
func (in *signRequest) wanted(id spiffeid.ID, csr *x509.CertificateRequest) (wanted, error) {
	want := wanted{id: id, key: csr.PublicKey, dnsNames: slices.Sorted(slices.Values(in.DNSNames))}
	switch {
	case in.SPIFFEID != "" && in.SPIFFEID != id.String():
		return want, denied("identity", "the caller may not have "+in.SPIFFEID)
	case in.Profile != "" && in.Profile != profile:
		return want, denied("profile", `the caller's profile is "`+profile+`"`)
	case in.Duration == "":
		return want, nil
	}
	var err error
	switch want.lifetime, err = time.ParseDuration(in.Duration); {
	case err != nil:
		return want, invalid("duration: not a duration such as 3600s or 1h")
	case want.lifetime < time.Second:
		return want, denied("duration", in.Duration+" is under one second")
	case want.lifetime > maxLifetime:
		return want, denied("duration", in.Duration+` exceeds the 24h of profile "`+profile+`"`)
	}
	return want, nil
}

// renew answers a CSR that came with the certificate that is to be renewed.
func (c *CA) renew(x *exchange) (*signResponse, error) {
	if x.r.Header.Get("Authorization") != "" {
		return nil, &refusal{status: http.StatusForbidden, code: "permission_denied", detail: "renewal requires the certificate that is to be renewed"}
	}
	rec, err := c.peer(x)
	if err != nil {
		return nil, err
	}
	var in renewRequest
	if err := x.decode(&in); err != nil {
		return nil, err
	}
	csr, err := parseCSR(in.CSR)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if rec.revoked {
		return nil, errRevoked()
	}
	next, err := c.issue(wanted{id: rec.id, dnsNames: rec.leaf.DNSNames, key: csr.PublicKey, replaces: rec})
	if err != nil {
		return nil, err
	}
	x.note.Issued = serialText(next.leaf)
	c.wake()
	return c.signed(next), nil
}

// peer judges the client certificate of a request, and returns its record.
func (c *CA) peer(x *exchange) (*record, error) {
	if len(x.r.TLS.PeerCertificates) == 0 {
		return nil, unauthenticated("credentials are required")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	leaf, now := x.r.TLS.PeerCertificates[0], c.now()
	switch {
	case now.After(leaf.NotAfter):
		return nil, unauthenticated("the client certificate has expired")
	case now.Before(leaf.NotBefore):
		return nil, unauthenticated("the client certificate is not valid yet")
	}
	rec := c.records[serialText(leaf)]
	if rec == nil || !rec.leaf.Equal(leaf) || rec.issuer.state == retired || rec.issuer.parent.state == retired {
		return nil, unauthenticated("the client certificate is not accepted")
	}
	x.note.ID = rec.id.String()
	if rec.revoked {
		return nil, errRevoked()
	}
	return rec, nil
}

func errRevoked() *refusal {
	return &refusal{status: http.StatusForbidden, code: "revoked", detail: "the presented certificate is revoked"}
}

// parseCSR reads a request in PEM, and nothing else, and checks that its sender has the key.
func parseCSR(text string) (*x509.CertificateRequest, error) {
	if text == "" {
		return nil, invalid("csr: is missing")
	}
	no := func(detail string) *refusal {
		return &refusal{status: http.StatusBadRequest, code: "invalid_csr", detail: "certificate request: " + detail}
	}
	block, rest := pem.Decode([]byte(text))
	if block == nil || len(rest) > 0 || block.Type != "CERTIFICATE REQUEST" {
		return nil, no("is not one PEM block")
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, no("is not well formed")
	}
	if csr.CheckSignature() != nil {
		return nil, no("signature was not made with the private key of its public key")
	}
	return csr, nil
}

// signed is the answer that carries a certificate. The caller holds mu.
func (c *CA) signed(r *record) *signResponse {
	return &signResponse{
		Serial: serialText(r.leaf), SPIFFEID: r.id.String(), DNSNames: r.leaf.DNSNames, Profile: profile, Issuer: r.issuer.id(),
		NotBefore: r.leaf.NotBefore, NotAfter: r.leaf.NotAfter,
		CertificateChain: encodePEM(r.leaf) + encodePEM(c.chain(r.issuer)...),
		Renewal:          r.window(), Bundle: c.bundle(),
	}
}

func (r *record) window() renewal { return renewal{Start: r.start.UTC(), End: r.end.UTC()} }

// bundle is the trust bundle of now. The caller holds mu.
func (c *CA) bundle() bundle {
	return bundle{TrustDomain: c.domain.String(), Sequence: c.sequence, RefreshHint: 300, Roots: encodePEM(c.published()...)}
}

// requestID names a request, as Pando does.
func requestID() string {
	var b [12]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// requestSerial is the serial number of the certificate that came with a request.
func requestSerial(r *http.Request) string {
	if len(r.TLS.PeerCertificates) == 0 {
		return ""
	}
	n := r.TLS.PeerCertificates[0].SerialNumber
	if n.Sign() < 0 || n.BitLen() > 19*8 {
		return ""
	}
	return hex.EncodeToString(n.FillBytes(make([]byte, 19)))
}
