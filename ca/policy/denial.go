package policy

import "fmt"

// Rule names the rule that a [Denial] rests on. The set is closed: rules are metric labels
// and part of the API.
type Rule string

// The rules.
const (
	RuleNoEntry        Rule = "no_entry"        // no entry matches the caller
	RuleAmbiguousEntry Rule = "ambiguous_entry" // several do, and the request does not choose
	RuleClaim          Rule = "claim"           // a claim cannot stand in a SPIFFE ID
	RuleIdentity       Rule = "identity"        // the request names another SPIFFE ID
	RuleTrustDomain    Rule = "trust_domain"    // the SPIFFE ID is of another trust domain, or has no path
	RuleReserved       Rule = "reserved"        // the SPIFFE ID belongs to Pando itself
	RuleDNSName        Rule = "dns_name"        // the request names a DNS name that it may not have
	RuleProfile        Rule = "profile"         // unknown profile, or not the caller's
	RuleKeyAlgorithm   Rule = "key_algorithm"   // not allowed by the profile
	RuleDuration       Rule = "duration"        // outside of the profile's limits
	RuleCAKey          Rule = "ca_key"          // the key is a CA's own
	RuleRole           Rule = "role"            // the caller's role does not allow it
)

// Denial says why a certificate may not be signed.
type Denial struct {
	Rule   Rule
	Reason string
}

func (d *Denial) Error() string { return fmt.Sprintf("%s: %s", d.Rule, d.Reason) }

func deny(rule Rule, format string, args ...any) *Denial {
	return &Denial{Rule: rule, Reason: fmt.Sprintf(format, args...)}
}
