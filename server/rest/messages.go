package rest

import "time"

// The messages are those of api/v1/pando.proto as JSON: the same names, and parsed by
// protojson into the same values.

// SignRequest asks for one certificate.
type SignRequest struct {
	CSR      string   `json:"csr,omitempty" doc:"PKCS #10 request as one PEM block. Exactly one of csr and csr_der is set." maxLength:"65536"`
	CSRDER   []byte   `json:"csr_der,omitempty" doc:"The same in DER, as base64."`
	SPIFFEID string   `json:"spiffe_id,omitempty" doc:"SPIFFE ID that is wanted. Required, here or in the CSR, when an administrator signs for another identity, and when several entries match a JWT." example:"spiffe://example.org/web"`
	DNSNames []string `json:"dns_names,omitempty" nullable:"false" doc:"DNS names that are wanted, besides those in the CSR. None at all: every name that the caller may have."`
	Profile  string   `json:"profile,omitempty" doc:"Name of the profile that is wanted." example:"workload"`
	Duration *string  `json:"duration,omitempty" doc:"Validity period that is wanted, at least one second; unset: the profile's." example:"3600s"`
}

// unmarshalRaw takes a CSR as it is, in DER or PEM. data belongs to the caller.
func (r *SignRequest) unmarshalRaw(data []byte) { r.CSRDER = append([]byte(nil), data...) }

// RenewRequest asks for a successor of the client certificate.
type RenewRequest struct {
	CSR    string `json:"csr,omitempty" doc:"PKCS #10 request as one PEM block. Exactly one of csr and csr_der is set." maxLength:"65536"`
	CSRDER []byte `json:"csr_der,omitempty" doc:"The same in DER, as base64."`
}

func (r *RenewRequest) unmarshalRaw(data []byte) { r.CSRDER = append([]byte(nil), data...) }

// SignResponse is a new certificate and all that its holder needs.
type SignResponse struct {
	Serial           string    `json:"serial" doc:"Serial number as 38 lower-case hex digits." example:"6b0381ff6f1c9be20d7a4f7f8f5c1a42d09e3b"`
	SPIFFEID         string    `json:"spiffe_id" doc:"SPIFFE ID in the certificate."`
	DNSNames         []string  `json:"dns_names,omitempty" nullable:"false" doc:"DNS names in the certificate."`
	Profile          string    `json:"profile" doc:"Name of the profile that it was issued under."`
	Issuer           string    `json:"issuer" doc:"ID of the authority that signed it."`
	NotBefore        time.Time `json:"not_before" doc:"Start of the validity period."`
	NotAfter         time.Time `json:"not_after" doc:"End of the validity period."`
	CertificateChain string    `json:"certificate_chain" doc:"PEM: the certificate, then the intermediates up to but without the root."`
	Renewal          Renewal   `json:"renewal" doc:"When the server wants it renewed."`
	Bundle           *Bundle   `json:"bundle,omitempty" doc:"The trust bundle at the time of issue. Unset within the results of a batch, which carries it once."`
}

func (r *SignResponse) chain() string { return r.CertificateChain }

// Renewal is the window in which the server wants a certificate renewed.
type Renewal struct {
	Start time.Time `json:"start" doc:"Renew from this moment on."`
	End   time.Time `json:"end" doc:"Past this moment the certificate is overdue."`
}

// Bundle is the trust bundle: the roots that verifiers must trust now.
type Bundle struct {
	TrustDomain string `json:"trust_domain" doc:"Name of the trust domain, without a scheme." example:"example.org"`
	Sequence    uint64 `json:"sequence" doc:"Changes whenever the contents change."`
	RefreshHint int32  `json:"refresh_hint" doc:"How often to look for a new one, in seconds."`
	Roots       string `json:"roots" doc:"The roots in PEM."`
}

// BatchRequest asks for several certificates.
type BatchRequest struct {
	Requests []SignRequest `json:"requests" nullable:"false" minItems:"1" maxItems:"500" doc:"The requests."`
}

// BatchResponse has one result for each request, in the same order.
type BatchResponse struct {
	Results []Result `json:"results" nullable:"false" doc:"The results."`
	Bundle  *Bundle  `json:"bundle" doc:"The trust bundle at the time of issue."`
}

// Result is the answer to one request of a batch: exactly one field is set.
type Result struct {
	Certificate *SignResponse `json:"certificate,omitempty" doc:"The certificate, without a bundle."`
	Error       *ResultError  `json:"error,omitempty" doc:"Why there is none."`
}

// ResultError is the refusal of one request of a batch.
type ResultError struct {
	Code    string `json:"code" doc:"Stable error code." example:"invalid_csr"`
	Message string `json:"message" doc:"What is wrong, for people."`
	Rule    string `json:"rule,omitempty" doc:"With code policy_denied: the rule that was broken."`
}

// Certificate is the record of an issued certificate.
type Certificate struct {
	Serial       string     `json:"serial" doc:"Serial number as 38 lower-case hex digits."`
	SPIFFEID     string     `json:"spiffe_id" doc:"SPIFFE ID in the certificate."`
	DNSNames     []string   `json:"dns_names,omitempty" nullable:"false" doc:"DNS names in the certificate."`
	Profile      string     `json:"profile" doc:"Name of the profile that it was issued under."`
	Issuer       string     `json:"issuer" doc:"ID of the authority that signed it."`
	KeyHash      string     `json:"key_hash" doc:"SHA-256 of the SubjectPublicKeyInfo as lower-case hex digits."`
	KeyAlgorithm string     `json:"key_algorithm" doc:"Kind of key: ecdsa-p256, ecdsa-p384, ed25519, rsa-2048, rsa-3072 or rsa-4096."`
	IssuedAt     time.Time  `json:"issued_at" doc:"When it was asked for."`
	NotBefore    time.Time  `json:"not_before" doc:"Start of the validity period."`
	NotAfter     time.Time  `json:"not_after" doc:"End of the validity period."`
	State        string     `json:"state" enum:"live,expired,revoked" doc:"What became of it."`
	RevokedAt    *time.Time `json:"revoked_at,omitempty" doc:"When it was revoked; unset when it is not."`
	Method       string     `json:"method" enum:"join_token,jwt,mtls,internal,pre_renew" doc:"How the caller was authenticated; pre_renew when Pando renewed it by itself."`
	Caller       string     `json:"caller" doc:"Who asked for it: a SPIFFE ID, issuer and subject, or the ID of a join token."`
	Address      string     `json:"address,omitempty" doc:"Network address of the caller, without the port."`
	EntryID      string     `json:"entry_id,omitempty" doc:"The entry that allowed it; unset when an administrator did, or Pando itself."`
	Replaces     string     `json:"replaces,omitempty" doc:"Serial number of the certificate that it renews; unset when it renews none."`
	RequestID    string     `json:"request_id,omitempty" doc:"The request that it answers, as in the log."`
	Certificate  string     `json:"certificate" doc:"The certificate in PEM, without its chain."`

	RevocationReason string `json:"revocation_reason,omitempty" doc:"Why it was revoked; unset when it is not."`
}

// CertificateList is a page of a listing, latest not_after first.
type CertificateList struct {
	Certificates  []Certificate `json:"certificates" nullable:"false" doc:"Latest not_after first."`
	NextPageToken string        `json:"next_page_token,omitempty" doc:"Where the next page begins; unset on the last page."`
}

// EntryRequest is a rule to make.
type EntryRequest struct {
	SPIFFEID string            `json:"spiffe_id" doc:"SPIFFE ID that the caller gets. With method jwt a whole path segment may be a claim in braces: a top-level name or a JSON pointer, such as {sub} or {/kubernetes.io/namespace}." example:"spiffe://example.org/ns/{/kubernetes.io/namespace}"`
	DNSNames []string          `json:"dns_names,omitempty" nullable:"false" doc:"DNS names that the caller may have."`
	Profile  string            `json:"profile,omitempty" doc:"Name of the profile; unset: workload."`
	Method   string            `json:"method" enum:"join_token,jwt" doc:"Credential that it matches."`
	Issuer   string            `json:"issuer,omitempty" doc:"With method jwt: the configured name of the issuer."`
	Claims   map[string]string `json:"claims,omitempty" doc:"With method jwt: claims, as names or JSON pointers, and the values that they must have, at least one."`
	PreRenew bool              `json:"pre_renew,omitempty" doc:"Whether Pando renews the certificates that are issued under it, for the key that they have, for holders who only download; unset: it does not."`
	Watch    bool              `json:"watch,omitempty" doc:"Whether the end of the newest certificate for its SPIFFE ID, which must be literal, is a metric of its own; at most 500 entries are. Unset: it is not."`
}

// Entry is a rule that gives an authenticated caller an identity.
type Entry struct {
	ID        string            `json:"id" doc:"Identifier, given by Pando."`
	SPIFFEID  string            `json:"spiffe_id" doc:"SPIFFE ID that the caller gets, literal or with claims."`
	DNSNames  []string          `json:"dns_names,omitempty" nullable:"false" doc:"DNS names that the caller may have."`
	Profile   string            `json:"profile" doc:"Name of the profile."`
	Method    string            `json:"method" enum:"join_token,jwt" doc:"Credential that it matches."`
	Issuer    string            `json:"issuer,omitempty" doc:"With method jwt: the configured name of the issuer."`
	Claims    map[string]string `json:"claims,omitempty" doc:"With method jwt: claims and the values that they must have."`
	CreatedAt time.Time         `json:"created_at" doc:"When it was made."`
	CreatedBy string            `json:"created_by" doc:"Who made it."`
	PreRenew  bool              `json:"pre_renew,omitempty" doc:"Whether Pando renews the certificates that were issued under it, for the key that they have; unset: it does not."`
	Watch     bool              `json:"watch,omitempty" doc:"Whether the end of the newest certificate for its SPIFFE ID is a metric of its own; unset: it is not."`
}

// EntryList is a page of a listing, ordered by ID.
type EntryList struct {
	Entries       []Entry `json:"entries" nullable:"false" doc:"Ordered by ID."`
	NextPageToken string  `json:"next_page_token,omitempty" doc:"Where the next page begins; unset on the last page."`
}

// JoinTokenRequest asks for a join token.
type JoinTokenRequest struct {
	EntryID string  `json:"entry_id" doc:"The entry, with method join_token, that the token enrols a workload under."`
	TTL     *string `json:"ttl,omitempty" doc:"How long the token may be used, one second to seven days; unset: ten minutes." example:"600s"`
}

// JoinToken is a new join token. The secret is shown this once.
type JoinToken struct {
	ID        string    `json:"id" doc:"Identifier, as in records and logs."`
	EntryID   string    `json:"entry_id" doc:"The entry that it is bound to."`
	Token     string    `json:"token" doc:"The secret: pjt_ and 43 characters."`
	ExpiresAt time.Time `json:"expires_at" doc:"When it expires."`
}
