// Package keystore creates and opens the private keys of authorities as [crypto.Signer].
//
// A key leaves this package only as a signer or as a reference: octets that the store keeps
// beside the authority, and that are worth nothing without the seal key. A reference holds
// the key as PKCS #8, sealed with AES-256-GCM under the seal key and bound to the label of
// the place that it was made for, so that references cannot be exchanged between rows by
// somebody who can write to the store but not read its keys.
//
//	version (1 octet, 1) ‖ nonce (12 octets, random) ‖ ciphertext ‖ tag (16 octets)
//
// The seal key is 32 random octets, written as base64 in a file of mode 0600 or given in the
// environment. Losing it means losing every sealed key; there is no way round that.
//
// # Tokens
//
// A key may also be made in a PKCS #11 token ([Token]) and never leave it. Then its reference is
// a URI with the id and the label of the key there (RFC 7512), and nothing is sealed. Which
// module and token, and the PIN, are configuration and no part of the reference. Both kinds
// are opened side by side, so that keys move from one to the other as authorities are replaced.
//
//	chosen ──Intend──> intent ──Create──> key in the token ──the generation that holds it──> no intent
//
// Since a key in a token exists whether or not somebody knows of it, the reference is written
// down before the key is made ([Intents]): whoever finds an intent that no authority came of
// destroys the key. PKCS #11 takes a C library, and a program that was built with the tag
// pkcs11; any other one says so when it is asked for a token.
package keystore
