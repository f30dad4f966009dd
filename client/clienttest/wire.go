package clienttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/pando-ca/pando/client"
)

// The shapes of POST /v1/certificates, POST /v1/certificates/renew, GET /v1/trust and
// POST /v1/mtls/report, as the golden files of package api have them. A test compares.

type signRequest struct {
	CSR      string   `json:"csr"`
	SPIFFEID string   `json:"spiffe_id"`
	DNSNames []string `json:"dns_names"`
	Profile  string   `json:"profile"`
	Duration string   `json:"duration"`
}

type renewRequest struct {
	CSR string `json:"csr"`
}

type signResponse struct {
	Serial           string    `json:"serial"`
	SPIFFEID         string    `json:"spiffe_id"`
	DNSNames         []string  `json:"dns_names,omitempty"`
	Profile          string    `json:"profile"`
	Issuer           string    `json:"issuer"`
	NotBefore        time.Time `json:"not_before"`
	NotAfter         time.Time `json:"not_after"`
	CertificateChain string    `json:"certificate_chain"`
	Renewal          renewal   `json:"renewal"`
	Bundle           bundle    `json:"bundle"`
}

type renewal struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

type bundle struct {
	TrustDomain string `json:"trust_domain"`
	Sequence    uint64 `json:"sequence"`
	RefreshHint int    `json:"refresh_hint"`
	Roots       string `json:"roots"`
}

type trustResponse struct {
	Bundle      bundle       `json:"bundle"`
	Renewal     renewal      `json:"renewal"`
	Revocations *revocations `json:"revocations,omitempty"`
	MTLS        *mtls        `json:"mtls,omitempty"`
}

type revocations struct {
	Sequence    uint64   `json:"sequence"`
	Serials     []string `json:"serials"`
	Authorities []string `json:"authorities"`
	More        bool     `json:"more"`
	Reset       bool     `json:"reset"`
}

type mtls struct {
	Version   string         `json:"version"`
	Rules     []mtlsRule     `json:"rules"`
	Overrides []mtlsOverride `json:"overrides"`
}

type mtlsRule struct {
	Name          string `json:"name"`
	Mode          string `json:"mode"`
	PlaintextDial bool   `json:"plaintext_dial"`
}

type mtlsOverride struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Side      string    `json:"side"`
	ExpiresAt time.Time `json:"expires_at"`
	Reason    string    `json:"reason"`
}

type reportRequest struct {
	Instance  string           `json:"instance"`
	Listeners []reportListener `json:"listeners"`
}

type reportListener struct {
	Name          string      `json:"name"`
	Mode          client.Mode `json:"mode"`
	From          client.From `json:"from"`
	ObservedSince time.Time   `json:"observed_since"`
	LastMTLS      time.Time   `json:"last_mtls"`
	LastPlaintext time.Time   `json:"last_plaintext"`
}

// refusal is an answer that is no, which leaves as a problem document (RFC 9457).
type refusal struct {
	status     int
	code       string
	rule       string
	detail     string
	retryAfter time.Duration
}

func (r *refusal) Error() string { return r.code + ": " + r.detail }

type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	RequestID string `json:"request_id"`
	Rule      string `json:"rule,omitempty"`
}

func invalid(detail string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: "invalid_request", detail: detail}
}

func denied(rule, detail string) *refusal {
	return &refusal{status: http.StatusForbidden, code: "policy_denied", rule: rule, detail: detail}
}

func unauthenticated(detail string) *refusal {
	return &refusal{status: http.StatusUnauthorized, code: "unauthenticated", detail: detail}
}

// maxBody is the most that is read of a request, as with Pando.
const maxBody = 64 << 10

// body reads what came with a request, whole: only then does the server watch whether the client
// is still there.
func body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, &refusal{status: http.StatusRequestEntityTooLarge, code: "too_large", detail: "the request body is too large"}
	case err != nil:
		return nil, invalid("the request body breaks off")
	}
	return data, nil
}

// decode reads a JSON body with the fields of v and no others.
func (x *exchange) decode(v any) error {
	if t := x.r.Header.Get("Content-Type"); t != "" && t != "application/json" {
		return &refusal{status: http.StatusUnsupportedMediaType, code: "invalid_request", detail: "this path takes application/json"}
	}
	if x.bad != nil {
		return x.bad
	}
	decoder := json.NewDecoder(bytes.NewReader(x.body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return invalid(err.Error())
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return invalid("there is more than one JSON value")
	}
	return nil
}

// write sends an answer, or why there is none.
func write(w http.ResponseWriter, requestID string, status int, body any, err error) {
	w.Header().Set("X-Request-Id", requestID)
	if err == nil && status == http.StatusNoContent {
		w.WriteHeader(status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	var no *refusal
	if errors.As(err, &no) {
		w.Header().Set("Content-Type", "application/problem+json")
		if no.status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		if no.retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(no.retryAfter.Seconds()))))
		}
		status, body = no.status, problem{
			Type: "about:blank", Title: http.StatusText(no.status), Status: no.status,
			Detail: no.detail, Code: no.code, RequestID: requestID, Rule: no.rule,
		}
	}
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.Encode(body) //nolint:errcheck // the client may be gone
}
