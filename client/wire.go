package client

import (
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// The shapes of POST /v1/certificates, POST /v1/certificates/renew and GET /v1/trust. Unknown fields of an
// answer are ignored, so that a newer server can say more.

// signRequest asks for a certificate. Renewal uses the CSR alone.
type signRequest struct {
	CSR      string   `json:"csr"`
	SPIFFEID string   `json:"spiffe_id,omitempty"`
	DNSNames []string `json:"dns_names,omitempty"`
	Profile  string   `json:"profile,omitempty"`
	Duration string   `json:"duration,omitempty"` // seconds with an "s", as protobuf's JSON has it
}

// fingerprint is of what a certificate is asked for beyond its identity, to be kept with it.
func (r signRequest) fingerprint() string {
	digest := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", r.DNSNames, r.Profile, r.Duration))
	return hex.EncodeToString(digest[:])
}

// answer is a new certificate and all that goes with it.
type answer struct {
	CertificateChain string  `json:"certificate_chain"` // PEM, leaf first
	Renewal          renewal `json:"renewal"`
	Bundle           bundle  `json:"bundle"`
}

// trustAnswer is what a poll of the trust brings.
type trustAnswer struct {
	Bundle  bundle   `json:"bundle"`
	Renewal *renewal `json:"renewal"` // of the certificate that asked; nil: nothing is said
	// Revocations after the cursor of the poll; nil: nothing is said, as by a CA that is older.
	Revocations *revocationList `json:"revocations,omitempty"`
	// MTLS is the policy, an mtlsAnswer; nothing is said if it is empty. It is read by itself,
	// so that what is wrong with it keeps nothing else out.
	MTLS json.RawMessage `json:"mtls,omitempty"`
}

// revocationList is what was revoked since, as far as it has not expired.
type revocationList struct {
	Sequence    uint64   `json:"sequence"`    // of the last one in it: the next cursor
	Serials     []serial `json:"serials"`     // of the certificates since the cursor, at most 10 000
	Authorities []keyID  `json:"authorities"` // always all of them
	More        bool     `json:"more"`        // there are further ones
	Reset       bool     `json:"reset"`       // the CA does not know the cursor: this is the beginning of a list
}

type renewal struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

type bundle struct {
	TrustDomain string `json:"trust_domain"`
	Sequence    uint64 `json:"sequence"`
	Roots       string `json:"roots"` // PEM
}

// problem is a refusal (RFC 9457).
type problem struct {
	Code      string `json:"code"`
	Rule      string `json:"rule"`
	Title     string `json:"title"`
	Detail    string `json:"detail"`
	RequestID string `json:"request_id"`
}

// wireDuration writes d as protobuf's JSON mapping does, "" for zero.
func wireDuration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s"
}

// received turns the body of an answer into a verified snapshot. t is what the connection
// was authenticated with; key and want are as for adopt.
func received(body []byte, t *trust, key crypto.Signer, want spiffeid.ID, now time.Time) (*snapshot, error) {
	var a answer
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, fmt.Errorf("decode answer: %w", err)
	}
	next, err := t.newer(a.Bundle)
	if err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	chain, err := parseCertificates([]byte(a.CertificateChain), maxChain)
	if err != nil {
		return nil, fmt.Errorf("answer: certificate_chain: %w", err)
	}
	// Under the new roots, not the old ones: the two are swapped in together.
	s, err := adopt(next, chain, key, want, now)
	if err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	s.schedule(window{start: a.Renewal.Start, end: a.Renewal.End})
	return s, nil
}

// update is a trustAnswer that was read.
type update struct {
	trust  *trust // the one that was known, unless there is a newer one
	window window // zero: nothing is said
	// revocations is nil if nothing is said.
	revocations *revocationList
	policy      json.RawMessage // not read yet; empty: nothing is said
}

// learned reads the body of an answer to a poll that was made knowing t.
func learned(body []byte, t *trust) (update, error) {
	var a trustAnswer
	if err := json.Unmarshal(body, &a); err != nil {
		return update{}, fmt.Errorf("decode answer: %w", err)
	}
	next, err := t.newer(a.Bundle)
	if err != nil {
		return update{}, fmt.Errorf("answer: %w", err)
	}
	if l := a.Revocations; l != nil && len(l.Authorities) > maxRevokedAuthorities {
		return update{}, fmt.Errorf("answer: more than %d revoked authorities", maxRevokedAuthorities)
	}
	u := update{trust: next, revocations: a.Revocations, policy: a.MTLS}
	if a.Renewal != nil {
		u.window = window{start: a.Renewal.Start, end: a.Renewal.End}
	}
	return u, nil
}
