// Package policy decides which certificate a caller may have. [Decide] takes who asks
// ([Caller]), the rules that apply ([Entry]), what a kind of certificate looks like
// ([Profile]), what was asked for and the time, and answers with the exact certificate
// that may be signed ([Grant]) or with a [Denial] that names the rule.
//
// Policy is evaluated on the final certificate and never on one of the ways to it: each
// branch of Decide only proposes an identity, names and a profile, and the same checks
// then judge what would be signed.
//
// The package is pure: it reads no clock, file, network or database.
package policy
