package client

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// snapshot is everything that a handshake or a status needs, at one moment. Immutable, and
// replaced as a whole, so that key, chain and roots always belong together.
type snapshot struct {
	id          spiffeid.ID
	certificate tls.Certificate     // Leaf is set
	chain       []*x509.Certificate // the same, parsed
	issuer      string              // ID of the authority that signed it
	trust       *trust
	announced   *trust // newer roots of the CA that do not vouch for the certificate; nil: none
	revoked     *revocations
	withdrawn   error // why the certificate is of no use before it expires, wraps ErrRevoked; nil: it is
	window      window
	told        window        // the last window that the CA gave, sensible or not
	obtained    time.Time     // with the monotonic clock, which no jump of the wall clock moves
	settle      time.Duration // how long after obtained no renewal starts
	asked       string        // fingerprint of what it was asked for with; empty: not known
}

// window is when the CA wants the certificate renewed.
type window struct {
	start time.Time
	end   time.Time
}

// held reports whether there is a certificate: there is none before the first.
func (s *snapshot) held() bool { return s.certificate.Leaf != nil }

func (s *snapshot) leaf() *x509.Certificate { return s.certificate.Leaf }

// serial is the certificate's serial number as Pando writes it.
func (s *snapshot) serial() string { return fmt.Sprintf("%038x", s.leaf().SerialNumber) }

// expired reports whether no peer will accept the certificate any more, as none will if there
// is none.
func (s *snapshot) expired(now time.Time) bool { return !s.held() || now.After(s.leaf().NotAfter) }

// dead reports whether the CA will not renew the certificate any more either.
func (s *snapshot) dead(now time.Time) bool {
	return s.expired(now) || s.revoked.leaf(s.leaf()) != nil
}

// judge is what this side judges the certificates of its peers by.
func (s *snapshot) judge() judge { return judge{s.trust, s.revoked} }

// maxAhead is how far ahead of the local clock a new certificate may begin. The CA
// backdates by a minute; a machine whose clock is behind by more than this cannot tell a
// fresh certificate from nonsense.
const maxAhead = 5 * time.Minute

// adopt verifies a certificate as its peers will and makes a snapshot of it. The key must
// be the certificate's; want is the identity that it must have, zero for any.
func adopt(t *trust, chain []*x509.Certificate, key crypto.PrivateKey, want spiffeid.ID, now time.Time) (*snapshot, error) {
	if len(chain) == 0 {
		return nil, errors.New("no certificate")
	}
	leaf := chain[0]
	if err := matches(leaf, key); err != nil {
		return nil, err
	}
	id, issuer, err := t.verifyOwn(chain, now)
	if err != nil {
		return nil, err
	}
	if !want.IsZero() && id != want {
		return nil, fmt.Errorf("certificate is for %s, want %s", id, want)
	}
	s := &snapshot{
		id: id, chain: chain, trust: t, issuer: authorityID(issuer), obtained: now,
		certificate: tls.Certificate{PrivateKey: key, Leaf: leaf},
	}
	for _, cert := range chain {
		s.certificate.Certificate = append(s.certificate.Certificate, cert.Raw)
	}
	return s, nil
}

// authorityID is how Pando names an authority: the first 8 octets of the SHA-256 of its
// certificate, in hex.
func authorityID(cert *x509.Certificate) string {
	digest := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(digest[:8])
}

// matches reports whether the certificate is for the key.
func matches(leaf *x509.Certificate, key crypto.PrivateKey) error {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return fmt.Errorf("a key of type %T cannot sign", key)
	}
	der, err := x509.MarshalPKIXPublicKey(signer.Public())
	if err != nil {
		return fmt.Errorf("public key: %w", err)
	}
	if !bytes.Equal(der, leaf.RawSubjectPublicKeyInfo) {
		return errors.New("certificate is for another key")
	}
	return nil
}

// schedule sets when the certificate is to be renewed. A window that does not start within
// the certificate's validity is no help, and the middle of it serves instead.
func (s *snapshot) schedule(w window) {
	notBefore, notAfter := s.leaf().NotBefore, s.leaf().NotAfter
	lifetime := notAfter.Sub(notBefore)
	s.told = w
	if !s.fits(w) {
		w = window{start: notBefore.Add(lifetime / 2)}
	}
	s.window = s.trimmed(w)
	// If this clock is ahead of the CA's, a window may have begun when the certificate
	// comes, and again with the next one: this keeps renewals apart even then.
	s.settle = min(lifetime/20, max(0, notAfter.Sub(s.obtained)/4))
}

// fits reports whether w starts within the certificate's validity.
func (s *snapshot) fits(w window) bool {
	return !w.start.Before(s.leaf().NotBefore) && w.start.Before(s.leaf().NotAfter)
}

// trimmed returns w with an end that makes sense.
func (s *snapshot) trimmed(w window) window {
	if w.end.Before(w.start) || w.end.After(s.leaf().NotAfter) {
		w.end = w.start
	}
	return w
}

// contact is how to talk to the CA with this certificate.
func (s *snapshot) contact() contact {
	c := s.stranger()
	c.client = &s.certificate
	return c
}

// stranger is how to talk to the CA without it.
func (s *snapshot) stranger() contact {
	return contact{trust: s.trust, announced: s.announced, revoked: s.revoked}
}
