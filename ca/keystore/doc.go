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
package keystore
