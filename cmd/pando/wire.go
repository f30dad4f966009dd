package main

import (
	"strconv"
	"time"
)

// The JSON of the REST API, as far as the command line uses it. Plain structs rather than the
// generated ones of api/v1: encoding/json writes them in a stable form, which protojson on
// purpose does not, and what -o json prints is read by scripts. A test holds them against the
// generated messages, so that a field cannot be missed.

// certificateJSON is the record of an issued certificate.
type certificateJSON struct {
	Serial       string    `json:"serial"`
	SPIFFEID     string    `json:"spiffe_id"`
	DNSNames     []string  `json:"dns_names,omitempty"`
	Profile      string    `json:"profile"`
	Issuer       string    `json:"issuer"`
	KeyHash      string    `json:"key_hash"`
	KeyAlgorithm string    `json:"key_algorithm"`
	IssuedAt     time.Time `json:"issued_at"`
	NotBefore    time.Time `json:"not_before"`
	NotAfter     time.Time `json:"not_after"`
	State        string    `json:"state"`
	RevokedAt    time.Time `json:"revoked_at,omitzero"`
	Method       string    `json:"method"`
	Caller       string    `json:"caller"`
	Address      string    `json:"address,omitempty"`
	EntryID      string    `json:"entry_id,omitempty"`
	Replaces     string    `json:"replaces,omitempty"`
	RequestID    string    `json:"request_id,omitempty"`
	Certificate  string    `json:"certificate"`

	RevocationReason string `json:"revocation_reason,omitempty"`
}

// certificatePageJSON is a page of a listing.
type certificatePageJSON struct {
	Certificates  []certificateJSON `json:"certificates"`
	NextPageToken string            `json:"next_page_token,omitempty"`
}

// signRequestJSON asks for a certificate. Exactly one of CSR and CSRDER is set.
type signRequestJSON struct {
	CSR      string   `json:"csr,omitempty"`
	CSRDER   []byte   `json:"csr_der,omitempty"`
	SPIFFEID string   `json:"spiffe_id,omitempty"`
	DNSNames []string `json:"dns_names,omitempty"`
	Profile  string   `json:"profile,omitempty"`
	Duration string   `json:"duration,omitempty"`
}

// renewRequestJSON asks for a successor of the client certificate.
type renewRequestJSON struct {
	CSR    string `json:"csr,omitempty"`
	CSRDER []byte `json:"csr_der,omitempty"`
}

// issuedJSON is a new certificate.
type issuedJSON struct {
	Serial           string      `json:"serial"`
	SPIFFEID         string      `json:"spiffe_id"`
	DNSNames         []string    `json:"dns_names,omitempty"`
	Profile          string      `json:"profile"`
	Issuer           string      `json:"issuer"`
	NotBefore        time.Time   `json:"not_before"`
	NotAfter         time.Time   `json:"not_after"`
	CertificateChain string      `json:"certificate_chain"`
	Renewal          renewalJSON `json:"renewal"`
	Bundle           bundleJSON  `json:"bundle"`
}

// renewalJSON is when the server wants a certificate renewed.
type renewalJSON struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// bundleJSON is the trust bundle.
type bundleJSON struct {
	TrustDomain string `json:"trust_domain"`
	Sequence    uint64 `json:"sequence"`
	RefreshHint int32  `json:"refresh_hint"` // seconds
	Roots       string `json:"roots"`
}

// createEntryJSON is a rule to make.
type createEntryJSON struct {
	SPIFFEID string            `json:"spiffe_id"`
	DNSNames []string          `json:"dns_names,omitempty"`
	Profile  string            `json:"profile,omitempty"`
	Method   string            `json:"method"`
	Issuer   string            `json:"issuer,omitempty"`
	Claims   map[string]string `json:"claims,omitempty"`
	PreRenew bool              `json:"pre_renew,omitempty"`
	Watch    bool              `json:"watch,omitempty"`
}

// entryJSON is a rule that gives a caller an identity.
type entryJSON struct {
	ID        string            `json:"id"`
	SPIFFEID  string            `json:"spiffe_id"`
	DNSNames  []string          `json:"dns_names,omitempty"`
	Profile   string            `json:"profile"`
	Method    string            `json:"method"`
	Issuer    string            `json:"issuer,omitempty"`
	Claims    map[string]string `json:"claims,omitempty"`
	CreatedAt time.Time         `json:"created_at"`
	CreatedBy string            `json:"created_by"`
	PreRenew  bool              `json:"pre_renew,omitempty"`
	Watch     bool              `json:"watch,omitempty"`
}

// entryPageJSON is a page of a listing.
type entryPageJSON struct {
	Entries       []entryJSON `json:"entries"`
	NextPageToken string      `json:"next_page_token,omitempty"`
}

// createTokenJSON asks for a join token.
type createTokenJSON struct {
	EntryID string `json:"entry_id"`
	TTL     string `json:"ttl,omitempty"`
}

// tokenJSON is a new join token. The secret is shown this once.
type tokenJSON struct {
	ID        string    `json:"id"`
	EntryID   string    `json:"entry_id"`
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expires_at"`
}

// wireDuration writes a duration as protobuf's JSON does, in seconds: "3600s". Zero is left out.
func wireDuration(d duration) string {
	if d == 0 {
		return ""
	}
	return strconv.FormatFloat(time.Duration(d).Seconds(), 'f', -1, 64) + "s"
}
