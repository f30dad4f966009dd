// Package spiffeid holds SPIFFE IDs and trust domains as values.
//
// Both are made only by parsing or by [Join], so a value that is not zero is valid: code
// that holds an [ID] never checks it again and never assembles one from strings. The zero
// value of each type means "none" and belongs to nothing. Values are immutable, comparable
// with ==, usable as map keys, and safe for concurrent use.
//
// The rules are those of the SPIFFE ID specification, section 2, at their strictest:
//
//   - the scheme and the trust domain must already be in lower case; nothing is folded;
//   - the trust domain holds only a-z, 0-9, '.', '-' and '_';
//   - a path is empty, or '/' and segments of a-z, A-Z, 0-9, '.', '-' and '_', none of them
//     empty, "." or "..", without a slash at the end;
//   - there is no user, port, query, fragment or percent-encoding;
//   - an ID has at most [MaxIDLength] octets, its trust domain at most
//     [MaxTrustDomainLength] (section 2.3).
//
// Everything that this package accepts, go-spiffe accepts too; the lengths are the one place
// where this package is stricter.
package spiffeid
