// Package gospiffe lets everything that takes a go-spiffe source use an identity of Pando:
// a [Source] is an x509svid.Source and an x509bundle.Source, so that tlsconfig, spiffetls,
// the gRPC credentials and other helpers of github.com/spiffe/go-spiffe/v2 work as they are.
//
//	source, err := client.Open(ctx, …)
//	…
//	identity := gospiffe.New(source)
//	cfg := tlsconfig.MTLSServerConfig(identity, identity, tlsconfig.AuthorizeID(frontend))
//
// Where there is a choice, prefer the configurations of package client: those of go-spiffe
// authorise in VerifyPeerCertificate, which a resumed session skips, and know nothing of
// revocations.
package gospiffe

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// Identity is what a source reads; a *client.Source is one.
type Identity interface {
	// Certificate returns the current certificate with its key and chain, or an error once
	// it has expired.
	Certificate() (*tls.Certificate, error)
	// Roots returns the current roots of the trust domain, never none.
	Roots() []*x509.Certificate
}

// Source is the identity of a workload and the roots of its trust domain, as they are in the
// moment of each question. It is safe for concurrent use. Closing it is closing the
// *client.Source.
type Source struct{ of Identity }

var (
	_ x509svid.Source   = (*Source)(nil)
	_ x509bundle.Source = (*Source)(nil)
)

// New returns a Source of an identity. It keeps nothing of its own.
func New(of Identity) *Source { return &Source{of} }

// GetX509SVID returns the current certificate. It implements x509svid.Source. Once the
// certificate has expired it returns an error that wraps client.ErrExpired, where the source of
// go-spiffe would return the expired one.
func (s *Source) GetX509SVID() (*x509svid.SVID, error) {
	current, err := s.of.Certificate()
	if err != nil {
		return nil, err
	}
	chain := make([]*x509.Certificate, len(current.Certificate))
	for i, der := range current.Certificate {
		if chain[i], err = x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("gospiffe: certificate %d: %w", i, err)
		}
	}
	id, err := x509svid.IDFromCert(chain[0])
	if err != nil {
		return nil, fmt.Errorf("gospiffe: %w", err)
	}
	signer, ok := current.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("gospiffe: a key of type %T cannot sign", current.PrivateKey)
	}
	return &x509svid.SVID{ID: id, Certificates: chain, PrivateKey: signer}, nil
}

// GetX509BundleForTrustDomain returns the current roots. It implements x509bundle.Source. Pando
// knows the roots of its own trust domain only; asking for another is an error.
func (s *Source) GetX509BundleForTrustDomain(domain spiffeid.TrustDomain) (*x509bundle.Bundle, error) {
	roots := s.of.Roots()
	id, err := x509svid.IDFromCert(roots[0])
	if err != nil {
		return nil, fmt.Errorf("gospiffe: %w", err)
	}
	if own := id.TrustDomain(); own != domain {
		return nil, fmt.Errorf("gospiffe: no bundle of trust domain %s: this workload is in %s", domain, own)
	}
	return x509bundle.FromX509Authorities(domain, roots), nil
}
