// Package mtls decides how programs are to use mutual TLS: which mode their listeners are in,
// and whether they may dial in plaintext. It is pure: rules, overrides and what programs have
// observed go in, and the time, and decisions come out.
//
// A [Rule] says what the programs under a [Pattern] of SPIFFE ID paths do. Of the rules that
// match, the narrowest wins, for each name of a listener by itself:
//
//   - patterns are compared from the first segment on, and a literal is narrower than *, which
//     is narrower than **;
//   - of two patterns that are alike so far, the one with more segments is narrower;
//   - of two rules with one pattern, the one that names the listener is narrower.
//
// Who matches no rule is strict and dials no plaintext. An [Override] lets plaintext in for at
// most [MaxOverride], whatever the rules say, and ends by itself.
//
// [Judge] tells from what the programs have observed whether a listener could be strict.
package mtls
