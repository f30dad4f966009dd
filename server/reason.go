package server

import (
	"slices"
	"strings"
)

// Reason says why a certificate is revoked, by the name of its CRLReason in the words of this
// API (RFC 5280, section 5.3.1).
type Reason string

// The reasons. Those that suspend, or undo a suspension, are left out: what Pando revokes stays
// revoked.
const (
	ReasonUnspecified          Reason = "unspecified"
	ReasonKeyCompromise        Reason = "key_compromise" // blocks the public key, too
	ReasonAffiliationChanged   Reason = "affiliation_changed"
	ReasonSuperseded           Reason = "superseded"
	ReasonCessationOfOperation Reason = "cessation_of_operation"
	ReasonPrivilegeWithdrawn   Reason = "privilege_withdrawn"
)

// Reasons lists every reason, by its number.
func Reasons() []Reason {
	return []Reason{
		ReasonUnspecified, ReasonKeyCompromise, ReasonAffiliationChanged,
		ReasonSuperseded, ReasonCessationOfOperation, ReasonPrivilegeWithdrawn,
	}
}

// number is the CRLReason.
func (r Reason) number() int {
	switch r {
	case ReasonKeyCompromise:
		return 1
	case ReasonAffiliationChanged:
		return 3
	case ReasonSuperseded:
		return 4
	case ReasonCessationOfOperation:
		return 5
	case ReasonPrivilegeWithdrawn:
		return 9
	}
	return 0
}

// reasonOf is the reason with this CRLReason.
func reasonOf(number int) Reason {
	for _, r := range Reasons() {
		if r.number() == number {
			return r
		}
	}
	return ReasonUnspecified
}

// checkReason refuses what is no reason. None is unspecified.
func checkReason(r Reason) (Reason, error) {
	if r == "" {
		return ReasonUnspecified, nil
	}
	if !slices.Contains(Reasons(), r) {
		var names []string
		for _, known := range Reasons() {
			names = append(names, string(known))
		}
		return "", invalid("reason: %.40q is none of %s", string(r), strings.Join(names, ", "))
	}
	return r, nil
}
