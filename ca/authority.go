package ca

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// Role says what an authority is for.
type Role string

// A root is what verifiers trust and signs intermediates, which sign leaves. It is self-signed, or
// an anchor that the root of somebody else has signed, such as that of a company.
const (
	RoleRoot         Role = "root"
	RoleIntermediate Role = "intermediate"
)

// State is where an authority stands in its life; see the package comment.
type State string

// The states of an authority.
const (
	StatePrepared State = "prepared" // published when it is a root; signs nothing yet
	StateActive   State = "active"   // signs
	StateRetiring State = "retiring" // signs no more; what it signed is still good
	StateRetired  State = "retired"  // nothing that it signed is left; no longer published
	StateTainted  State = "tainted"  // perhaps compromised; published until all is re-issued
	StateRevoked  State = "revoked"  // trusted by nobody
)

// Published reports whether a root in this state is part of the trust bundle.
func (s State) Published() bool {
	switch s {
	case StatePrepared, StateActive, StateRetiring, StateTainted:
		return true
	}
	return false
}

// URLs are templates of the URLs that certificates carry. "{authority}" in them stands for
// the ID of the authority that signed the certificate, and "{shard}" in CRL for the shard of its
// CRL that the certificate belongs to. An empty template leaves the extension out.
type URLs struct {
	Issuer string // AIA caIssuers: the issuer's certificate (RFC 5280, section 4.2.2.1)
	CRL    string // CRL distribution point (RFC 5280, section 4.2.1.13)
}

// MaxCRLShards is the most shards that the CRL of an authority can have: see [Serial.Shard].
const MaxCRLShards = 256

// Validate returns an error unless each template is empty or, expanded, an absolute HTTP URL
// that a certificate can carry.
func (u URLs) Validate() error {
	const someID = "0123456789abcdef"
	for _, text := range []string{u.issuer(someID), u.DistributionPoint(someID, 0)} {
		if text == "" {
			continue
		}
		if err := validURL(text); err != nil {
			return err
		}
	}
	return nil
}

// ValidateShards returns an error unless the CRL of an authority can have so many shards: each
// needs a URL of its own, if certificates have one at all.
func (u URLs) ValidateShards(shards int) error {
	switch {
	case shards < 0 || shards > MaxCRLShards:
		return fmt.Errorf("CRL of %d shards; there can be 1 to %d", shards, MaxCRLShards)
	case shards > 1 && u.CRL != "" && !strings.Contains(u.CRL, "{shard}"):
		return fmt.Errorf("certificate URL %q lacks {shard}, and there are %d shards", u.CRL, shards)
	}
	return nil
}

// validURL returns an error unless text is an absolute HTTP URL that needs no escaping.
func validURL(text string) error {
	parsed, err := url.Parse(text)
	switch {
	case err != nil:
		return fmt.Errorf("certificate URL: %w", err)
	case parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "":
		return fmt.Errorf("certificate URL %q is not an absolute HTTP URL", text)
	case parsed.String() != text:
		return fmt.Errorf("certificate URL %q holds characters that must be escaped, or a template other than {authority} and, of a CRL, {shard}", text)
	}
	return nil
}

// issuer is the URL of the certificate of the authority with this ID; "" without a template.
func (u URLs) issuer(authority string) string {
	return strings.ReplaceAll(u.Issuer, "{authority}", authority)
}

// DistributionPoint returns the URL of a shard of the CRL of the authority with this ID, as
// certificates and the list itself hold it; "" without a template.
func (u URLs) DistributionPoint(authority string, shard int) string {
	return strings.NewReplacer("{authority}", authority, "{shard}", strconv.Itoa(shard)).Replace(u.CRL)
}

// expand returns the URLs in certificates that this authority signs, as the slices that
// crypto/x509 wants: of the CRL, one for each shard.
func (u URLs) expand(authority string, shards int) (issuer []string, crl [][]string) {
	if u.Issuer != "" {
		issuer = []string{u.issuer(authority)}
	}
	crl = make([][]string, max(shards, 1))
	for shard := range crl {
		if u.CRL != "" {
			crl[shard] = []string{u.DistributionPoint(authority, shard)}
		}
	}
	return issuer, crl
}

// ofRoot returns the URLs in certificates that a root signs, whose CRL has one shard.
func (u URLs) ofRoot(root *x509.Certificate) (issuer, crl []string) {
	issuer, shards := u.expand(AuthorityID(root), 1)
	return issuer, shards[0]
}

// AuthorityID returns the ID of the authority with this certificate: the first eight octets
// of the SHA-256 of its DER, in hex.
func AuthorityID(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:8])
}

// TrustDomainOf returns the trust domain that an authority's certificate is for (X509-SVID,
// section 3.2).
func TrustDomainOf(cert *x509.Certificate) (spiffeid.TrustDomain, error) {
	id, err := spiffeid.FromCertificate(cert)
	if err != nil {
		return spiffeid.TrustDomain{}, fmt.Errorf("trust domain of authority: %w", err)
	}
	return id.TrustDomain(), nil
}

// KeyLabel is the label that the key of an authority is kept under. It says where the key
// belongs, so that whoever can write to the database cannot move it to another place there, or
// to another CA's.
func KeyLabel(td spiffeid.TrustDomain, role Role) string {
	return "authority " + string(role) + " of " + td.String()
}

// Authority is a root or an intermediate of a [Set]. It is immutable.
type Authority struct {
	id       string
	role     Role
	state    State
	parentID string
	cert     *x509.Certificate
	keyHash  KeyHash
	signer   crypto.Signer // nil when the key is not at hand
	parent   *Authority    // nil for a root

	crossParentID string            // of a root; "" when it has no cross-certificate
	cross         *x509.Certificate // nil likewise

	// Made once for every leaf: see Sign.
	trustDomain spiffeid.TrustDomain
	issuerURLs  []string
	crlURLs     [][]string // by shard; at least one
	chain       [][]byte   // DER, this authority first, without the root
}

// ID returns the short, stable name of the authority; see [AuthorityID].
func (a *Authority) ID() string { return a.id }

// Role returns what the authority is for.
func (a *Authority) Role() Role { return a.role }

// State returns the state of the authority in this set.
func (a *Authority) State() State { return a.state }

// ParentID returns the ID of the root that signed the authority, "" for a root.
func (a *Authority) ParentID() string { return a.parentID }

// Certificate returns the authority's certificate. It is shared: do not modify it.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// CRLShards returns of how many shards the CRL of the authority consists, at least 1.
func (a *Authority) CRLShards() int { return len(a.crlURLs) }

// CanSign reports whether the authority's key is at hand.
func (a *Authority) CanSign() bool { return a.signer != nil }

// CrossParentID returns the ID of the root that signed the cross-certificate of this root, ""
// when there is none.
func (a *Authority) CrossParentID() string { return a.crossParentID }

// Cross returns the cross-certificate of a root: its key, certified by the root before it. It
// is nil when there is none. It is shared: do not modify it.
func (a *Authority) Cross() *x509.Certificate { return a.cross }

// Chain returns the DER certificates that a leaf of this authority is presented with: the
// authority itself first, up to but without the root; then, while roots before that one are
// retiring or tainted, the cross-certificates that lead to them, at most [MaxCross]. It is
// shared: do not modify it.
func (a *Authority) Chain() [][]byte { return a.chain }
