package metrics

import (
	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server/auth"
	"github.com/pando-ca/pando/server/door"
)

const (
	none  = "none"  // there is no value: no credentials, no profile yet
	other = "other" // stands for every value that this package does not know
)

// Reasons of pando_requests_shed_total.
const (
	shedQueue = "queue" // too many issuances wait for a commit
	shedRate  = "rate"  // a caller or an address asks too often
)

// codeRateLimited is the code of requests that a rate limit refused.
const codeRateLimited = "rate_limited"

// closed is a closed set of label values.
type closed map[string]bool

func newClosed(values ...string) closed {
	set := make(closed, len(values))
	for _, v := range values {
		set[v] = true
	}
	return set
}

// label is value if it is in the set, "none" if it is empty, or else "other".
func (c closed) label(value string) string {
	switch {
	case c[value]:
		return value
	case value == "":
		return none
	}
	return other
}

// codes is door.CodeOK and the stable error codes of the API.
func codes() closed {
	return newClosed(door.CodeOK, "invalid_request", "invalid_csr", "unauthenticated", "permission_denied",
		"policy_denied", "not_found", "already_exists", "conflict", "too_large", codeRateLimited,
		"unavailable", "internal", "token_used", "token_expired", "replayed", "revoked", "key_blocked")
}

// methods is the ways of authentication.
func methods() closed {
	return newClosed(string(policy.MethodJoinToken), string(policy.MethodJWT), string(policy.MethodPeer))
}

// reasons is the reasons for which credentials are refused.
func reasons() closed {
	set := make(closed)
	for _, r := range auth.Reasons() {
		set[string(r)] = true
	}
	return set
}

// rules is the rules of policy.
func rules() closed {
	set := make(closed)
	for _, r := range []policy.Rule{
		policy.RuleNoEntry, policy.RuleAmbiguousEntry, policy.RuleClaim, policy.RuleIdentity,
		policy.RuleTrustDomain, policy.RuleReserved, policy.RuleDNSName, policy.RuleProfile,
		policy.RuleKeyAlgorithm, policy.RuleDuration, policy.RuleCAKey, policy.RuleRole,
	} {
		set[string(r)] = true
	}
	return set
}
