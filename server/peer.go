package server

import (
	"crypto/sha256"
	"crypto/x509"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
)

// peerCacheSize is the number of kept connections whose client certificate is verified once.
const peerCacheSize = 50_000

// verifiedPeer is a client certificate that was found good under one generation.
type verifiedPeer struct {
	peer       policy.Peer
	generation uint64
}

// peerCache remembers verified client certificates by identity of the parsed value: crypto/tls
// parses a certificate once per connection, so that each request of a kept connection
// brings the same pointer. The cache holds it, so that it cannot come to mean another one.
type peerCache struct {
	verified *lru.Cache[*x509.Certificate, verifiedPeer]
}

func newPeerCache() *peerCache {
	verified, err := lru.New[*x509.Certificate, verifiedPeer](peerCacheSize)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &peerCache{verified}
}

// Peer verifies a client certificate against the current trust bundle: the chain, the
// validity at now, the usage, and one SPIFFE ID of this trust domain. The signature is
// checked, and the certificate hashed, once per connection and generation, validity each time.
// Revocation is not judged here: every operation looks at what this replica knows of it, an
// issuance judges it in the transaction, an administrator's operation before it starts.
func (s *Service) Peer(chain []*x509.Certificate, now time.Time) (policy.Peer, error) {
	set := s.Set()
	leaf := chain[0]
	if known, ok := s.peers.verified.Get(leaf); ok && known.generation == set.Generation() &&
		!now.Before(leaf.NotBefore) && !now.After(leaf.NotAfter) {
		return known.peer, nil
	}
	id, err := set.VerifyPeer(leaf, chain[1:], now)
	if err != nil {
		return policy.Peer{}, err
	}
	serial, ok := ca.SerialOf(leaf)
	if !ok {
		return policy.Peer{}, permissionDenied("the presented certificate's serial number is not one of this CA")
	}
	peer := policy.Peer{ID: id, Serial: serial, Fingerprint: sha256.Sum256(leaf.Raw), Role: s.admins[id]}
	s.peers.verified.Add(leaf, verifiedPeer{peer, set.Generation()})
	return peer, nil
}
