package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/spiffeid"
)

// EntrySpec is an entry as it is written down: see [ParseEntry].
type EntrySpec struct {
	ID       string
	SPIFFEID string // literal, or with {claim} in place of whole path segments
	DNSNames []string
	Profile  string
	Method   Method            // join_token or jwt
	Issuer   string            // jwt: configured name of the issuer
	Claims   map[string]string // jwt: claim → required value
	PreRenew bool              // Pando renews its certificates, for the key that they have
	Watch    bool              // its newest certificate is watched by itself; takes a literal SPIFFE ID
}

// Entry is a rule that gives an authenticated caller an identity, checked and ready to
// be matched. It is immutable.
type Entry struct {
	id       string
	identity Template
	dnsNames []string
	profile  string
	method   Method
	issuer   string
	claims   []requirement
	preRenew bool
}

type requirement struct {
	claim Pointer
	value string
}

// maxClaims bounds the work of matching one rule, which is done for every JWT of its issuer.
const maxClaims = 64

// plainText reports whether a text can be kept by every store and be shown by every tool.
func plainText(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// ParseEntry checks a rule: the SPIFFE ID lies in the trust domain and has a path,
// templates stand only where claims exist, DNS names are well formed, and a rule for
// JWTs requires at least one claim, since none would admit every token of the issuer.
func ParseEntry(spec EntrySpec, td spiffeid.TrustDomain) (*Entry, error) {
	identity, err := ParseTemplate(spec.SPIFFEID)
	if err != nil {
		return nil, fmt.Errorf("spiffe_id: %w", err)
	}
	e := &Entry{
		id: spec.ID, identity: identity, dnsNames: slices.Clone(spec.DNSNames),
		profile: spec.Profile, method: spec.Method, issuer: spec.Issuer, preRenew: spec.PreRenew,
	}
	switch {
	case len(spec.DNSNames) > maxDNSNames:
		return nil, fmt.Errorf("dns_names: %d exceed the limit of %d", len(spec.DNSNames), maxDNSNames)
	case len(spec.Claims) > maxClaims:
		return nil, fmt.Errorf("claims: %d exceed the limit of %d", len(spec.Claims), maxClaims)
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Claims)) {
		claim, err := ParsePointer(name)
		if err != nil {
			return nil, fmt.Errorf("claim %q: %w", name, err)
		}
		if !plainText(name) || !plainText(spec.Claims[name]) {
			return nil, fmt.Errorf("claim %q: holds a control character, or is not UTF-8", name)
		}
		e.claims = append(e.claims, requirement{claim, spec.Claims[name]})
	}
	for _, name := range e.dnsNames {
		if err := ca.ValidDNSName(name); err != nil {
			return nil, fmt.Errorf("dns_names: %w", err)
		}
	}
	if spec.Watch && !identity.Literal() {
		return nil, errors.New("watch: an entry with claims in its SPIFFE ID gives any number of identities: watch one that is literal")
	}
	return e, e.invalid(td)
}

func (e *Entry) invalid(td spiffeid.TrustDomain) error {
	switch {
	case e.identity.TrustDomain() != td:
		return fmt.Errorf("spiffe_id: not in trust domain %s", td)
	case e.profile == "":
		return errors.New("profile: missing")
	case e.method == MethodJoinToken && (e.issuer != "" || len(e.claims) > 0 || !e.identity.Literal()):
		return errors.New("an entry for join tokens has no issuer and no claims")
	case e.method == MethodJWT && e.issuer == "":
		return errors.New("issuer: missing")
	case e.method == MethodJWT && len(e.claims) == 0:
		return errors.New("claims: at least one is required, or every token of the issuer would match")
	case e.method != MethodJoinToken && e.method != MethodJWT:
		return fmt.Errorf("method: %q is neither join_token nor jwt", e.method)
	}
	return nil
}

// ID is the entry's identifier in the store.
func (e *Entry) ID() string { return e.id }

// Issuer is the configured name of the JWT issuer, empty for join tokens.
func (e *Entry) Issuer() string { return e.issuer }

// Profile is the name of the profile that the entry gives.
func (e *Entry) Profile() string { return e.profile }

// Span is the first and the last SPIFFE ID, in the order of octets, between which lie all that the
// entry can give. Others may lie there too.
func (e *Entry) Span() (first, last string) { return e.identity.span() }

// Reserved reports whether the entry's SPIFFE IDs belong to Pando itself.
func (e *Entry) Reserved() bool { return e.identity.Reserved() }

// matches reports whether a caller's claims meet every requirement.
func (e *Entry) matches(c *Caller) bool {
	if e.method != MethodJWT || c.Method != MethodJWT || e.issuer != c.Issuer {
		return false
	}
	for _, r := range e.claims {
		value, ok := r.claim.Lookup(c.Claims)
		if !ok || !claimEquals(value, r.value) {
			return false
		}
	}
	return true
}

// preRenews reports whether the entry asks for the renewal of a certificate that was issued
// under it, and still gives what that holds.
func (e *Entry) preRenews(c *Current) bool {
	first, last := e.Span()
	id := c.ID.String()
	return e.preRenew && e.id == c.EntryID && e.profile == c.Profile && first <= id && id <= last &&
		!slices.ContainsFunc(c.DNSNames, func(name string) bool { return !slices.Contains(e.dnsNames, name) })
}

// claimEquals compares a claim with a required text; an array matches if one of its
// elements does. Objects never match.
func claimEquals(value any, want string) bool {
	if list, ok := value.([]any); ok {
		return slices.ContainsFunc(list, func(v any) bool {
			text, ok := claimText(v)
			return ok && text == want
		})
	}
	text, ok := claimText(value)
	return ok && text == want
}

// claimText is the text of a scalar claim: a string as it stands, a boolean or an integer
// by its JSON text. A fraction has more than one spelling and is no text.
func claimText(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		if _, err := strconv.ParseInt(v.String(), 10, 64); err != nil {
			return "", false
		}
		return v.String(), true
	case float64:
		if v != float64(int64(v)) || v > 1<<53 || v < -(1<<53) {
			return "", false
		}
		return strconv.FormatInt(int64(v), 10), true
	}
	return "", false
}
