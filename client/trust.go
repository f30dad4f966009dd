package client

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// trust is the trust bundle: the roots that vouch for one trust domain. Immutable.
type trust struct {
	domain   spiffeid.TrustDomain
	sequence uint64
	learned  bool // from an answer of the CA; else from the configuration, without a sequence
	roots    []*x509.Certificate
	pool     *x509.CertPool
}

// configuredTrust parses the bundle that first contact relies on. The trust domain is the
// one that the roots name in their URI SAN (X509-SVID, section 3.1).
func configuredTrust(pem []byte) (*trust, error) {
	roots, err := parseCertificates(pem, maxRoots)
	if err != nil {
		return nil, err
	}
	return trustIn(roots)
}

// trustIn is the trust in these roots, of the trust domain that they name.
func trustIn(roots []*x509.Certificate) (*trust, error) {
	if len(roots) == 0 {
		return nil, errors.New("there is none")
	}
	id, err := spiffeid.FromCertificate(roots[0])
	if err != nil {
		return nil, fmt.Errorf("root %q: %w", printable(roots[0].Subject.String()), err)
	}
	return newTrust(id.TrustDomain(), roots)
}

// newTrust checks that every root is a CA certificate of the trust domain.
func newTrust(domain spiffeid.TrustDomain, roots []*x509.Certificate) (*trust, error) {
	t := &trust{domain: domain, roots: roots, pool: x509.NewCertPool()}
	for i, root := range roots {
		id, err := spiffeid.FromCertificate(root)
		switch {
		case err != nil:
			return nil, fmt.Errorf("root %d: %w", i+1, err)
		case id != domain.ID():
			return nil, fmt.Errorf("root %d is of %s, want %s", i+1, id, domain.ID())
		case !root.IsCA || !root.BasicConstraintsValid:
			return nil, fmt.Errorf("root %d is not a CA certificate", i+1)
		}
		t.pool.AddCert(root)
	}
	return t, nil
}

// newerThan reports whether t replaces o. What the CA sent replaces what was configured.
func (t *trust) newerThan(o *trust) bool {
	return t.learned && (!o.learned || t.sequence > o.sequence)
}

// holds reports whether a certificate is one of the roots.
func (t *trust) holds(cert *x509.Certificate) bool {
	return slices.ContainsFunc(t.roots, cert.Equal)
}

// newer returns the trust after an answer that carries b: the bundle of b if its sequence
// is higher than the one known, else what is known already. A lower sequence is no failure,
// because replicas of the CA adopt a change within seconds of each other.
func (t *trust) newer(b bundle) (*trust, error) {
	if b.TrustDomain != t.domain.String() {
		return nil, fmt.Errorf("bundle is of trust domain %q, want %q", printable(b.TrustDomain), t.domain)
	}
	if t.learned && b.Sequence <= t.sequence {
		return t, nil
	}
	roots, err := parseCertificates([]byte(b.Roots), maxRoots)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	next, err := newTrust(t.domain, roots)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	next.sequence, next.learned = b.Sequence, true
	return next, nil
}
