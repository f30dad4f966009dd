// Package ca decides and signs: it reads certificate signing requests, builds and signs
// certificates, and holds the authorities that sign them. It is pure: it takes values, the
// time and a [crypto.Signer], and does no input or output of its own.
//
// # From request to certificate
//
// [ParseCSR] reads a request strictly. Nothing is taken from it but its public key and the
// names that it asks for. Somebody else (package policy) decides what may be signed and
// fills a [Leaf]. [Authority.Sign] turns it into a [Certificate]: the template of a leaf is
// built there and nowhere else, and the signed certificate is parsed again and compared
// with the request, field by field, before it is returned.
//
// # Authorities
//
// An [Authority] is a root or an intermediate certificate, its state and perhaps its key.
// A [Set] is an immutable snapshot of all of them, one generation:
//
//	root ── signs ──> intermediate (the active one is the issuer) ── signs ──> leaf
//
//	prepared ──> active ──> retiring ──> retired
//	    └──────────┴────────────┴──> tainted ──> revoked
//
// [NewSet] verifies everything that can be verified once (chains, constraints, that keys
// and certificates match), so that signing a leaf only has to compare it with its issuer.
// A replica swaps whole sets; what a set returns is shared and must not be modified.
//
// # Revocation
//
// [NewCRL] makes the list of what an authority has revoked, or of one shard of it: the shard of a leaf
// follows from its serial number ([Serial.Shard]), its URL is in the leaf, and the same URL is in
// the list, so that no list can stand for another one.
//
// The fields of every certificate are laid down in docs/certificate-specification.md, and a
// test compares fresh certificates with that document.
//
// Everything here is safe for concurrent use, provided that the signers are.
package ca
