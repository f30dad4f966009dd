package client

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
)

// extendedMasterSecret is the extension of RFC 7627. It ties the keys of a TLS 1.2 session to
// the handshake that they came from, which TLS 1.3 does by itself.
const extendedMasterSecret = 23

var errNoExtendedMasterSecret = errors.New("TLS 1.2 without the extended master secret (RFC 7627)")

// suites12 are the cipher suites of TLS 1.2 that are in force if a configuration allows it:
// ephemeral keys and authenticated encryption alone (RFC 9325, section 4.2). RSA is for the
// key of a peer's certificate. Those of TLS 1.3 are all of this kind.
func suites12() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}

// keyExchanges are the groups for the ephemeral keys. The first, which is proof against a
// quantum computer of the future too, is of TLS 1.3 alone.
func keyExchanges() []tls.CurveID {
	return []tls.CurveID{tls.X25519MLKEM768, tls.X25519, tls.CurveP256}
}

// minVersion is the least version of a ListenerConfig or a DialerConfig.
func minVersion(asked uint16) uint16 {
	switch asked {
	case 0:
		return tls.VersionTLS13
	case tls.VersionTLS12, tls.VersionTLS13:
		return asked
	}
	panic(fmt.Sprintf("pando client: MinVersion %#04x: want tls.VersionTLS12 or tls.VersionTLS13", asked))
}

// boundHello reports why a client's hello leads to a TLS 1.2 whose keys are not bound to it.
func boundHello(hello *tls.ClientHelloInfo) error {
	if slices.Contains(hello.SupportedVersions, tls.VersionTLS13) || slices.Contains(hello.Extensions, extendedMasterSecret) {
		return nil
	}
	return fmt.Errorf("pando client: peer: %w", errNoExtendedMasterSecret)
}

// boundSession does so for a session that is resumed, where it matters most: what is
// resumed has the peer's certificate of a handshake that this one cannot be told to follow.
func boundSession(state *tls.ConnectionState) error {
	// TLSUnique is no longer good for what it was made for. It is nil in just this case.
	if state.Version == tls.VersionTLS12 && state.DidResume && state.TLSUnique == nil {
		return fmt.Errorf("pando client: peer: %w", errNoExtendedMasterSecret)
	}
	return nil
}
