package client

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// VerifyPeer judges a certificate as the TLS configurations of a Source do: whether chain, with
// its leaf first, is that of a workload of the trust domain of roots, good for usage at now. It
// returns the workload's SPIFFE ID; [ReasonOf] classifies the error. It is for tools: it knows
// no revocations and authorises nobody.
func VerifyPeer(chain, roots []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) (spiffeid.ID, error) {
	t, err := trustIn(roots)
	if err != nil {
		return spiffeid.ID{}, fmt.Errorf("roots: %w", err)
	}
	id, _, err := t.verify(chain, usage, now)
	return id, err
}

// verify verifies an X.509-SVID (X509-SVID, section 5; RFC 5280, section 6): a leaf for
// usage with exactly one SPIFFE ID of this trust domain and a chain to its roots at now.
// It returns the ID and every such chain, from the leaf to a root.
func (t *trust) verify(certs []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) (spiffeid.ID, [][]*x509.Certificate, error) {
	if len(certs) == 0 {
		return spiffeid.ID{}, nil, errors.New("no certificate")
	}
	leaf := certs[0]
	id, err := t.leafID(leaf)
	if err != nil {
		return spiffeid.ID{}, nil, &identityError{err}
	}
	intermediates := x509.NewCertPool()
	for _, cert := range certs[1:] {
		intermediates.AddCert(cert)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: t.pool, Intermediates: intermediates, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{usage},
	})
	if err != nil {
		return spiffeid.ID{}, nil, fmt.Errorf("certificate of %s: %w", id, err)
	}
	if len(chains[0]) < 2 {
		return spiffeid.ID{}, nil, fmt.Errorf("certificate of %s is its own root", id)
	}
	return id, chains, nil
}

// judge is what the certificates of others are judged by.
type judge struct {
	trust   *trust
	revoked *revocations
}

// verify verifies as [trust.verify] does, and that neither the leaf nor an authority above
// it is revoked: a chain with such an authority does not count, another one may. It returns
// the ID and the chain that counts.
func (j judge) verify(certs []*x509.Certificate, usage x509.ExtKeyUsage, now time.Time) (spiffeid.ID, []*x509.Certificate, error) {
	id, chains, err := j.trust.verify(certs, usage, now)
	if err != nil {
		return spiffeid.ID{}, nil, err
	}
	if err := j.revoked.leaf(certs[0]); err != nil {
		return spiffeid.ID{}, nil, fmt.Errorf("certificate of %s: %w", id, err)
	}
	chain, err := j.revoked.unbroken(chains)
	if err != nil {
		return spiffeid.ID{}, nil, fmt.Errorf("certificate of %s: %w", id, err)
	}
	return id, chain, nil
}

// verifyServer verifies the certificates of one of the CA's own servers.
func (j judge) verifyServer(certs []*x509.Certificate, now time.Time) error {
	want, err := spiffeid.Join(j.trust.domain, "pando", "server")
	if err != nil {
		return err
	}
	id, _, err := j.verify(certs, x509.ExtKeyUsageServerAuth, now)
	switch {
	case err != nil:
		return fmt.Errorf("server's certificate: %w", err)
	case id != want:
		return fmt.Errorf("server is %s, want %s", id, want)
	}
	return nil
}

// verifyOwn verifies the certificate of this side as its peers will. It returns the ID and
// the certificate that signed the leaf.
func (t *trust) verifyOwn(chain []*x509.Certificate, now time.Time) (spiffeid.ID, *x509.Certificate, error) {
	id, chains, err := t.verify(chain, x509.ExtKeyUsageAny, ownTime(chain[0], now))
	if err != nil {
		return spiffeid.ID{}, nil, err
	}
	return id, chains[0][1], nil
}

// ownTime is when to verify the own certificate at now. If it has yet to begin, the clock is
// slow here; whether it is valid is for the clocks of peers to say.
func ownTime(leaf *x509.Certificate, now time.Time) time.Time {
	if leaf.NotBefore.After(now) && leaf.NotBefore.Sub(now) <= maxAhead {
		return leaf.NotBefore
	}
	return now
}

// leafID checks what can be seen in the leaf alone (X509-SVID, section 5.2).
func (t *trust) leafID(leaf *x509.Certificate) (spiffeid.ID, error) {
	id, err := spiffeid.FromCertificate(leaf)
	switch {
	case err != nil:
		return spiffeid.ID{}, err
	case !id.MemberOf(t.domain):
		return spiffeid.ID{}, fmt.Errorf("%s is not in trust domain %s", id, t.domain)
	case id.Path() == "":
		return spiffeid.ID{}, fmt.Errorf("%s is the ID of an authority", id)
	case leaf.IsCA:
		return spiffeid.ID{}, fmt.Errorf("certificate of %s is that of a CA", id)
	case leaf.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0:
		return spiffeid.ID{}, fmt.Errorf("certificate of %s has the key usage of a CA", id)
	case leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		return spiffeid.ID{}, fmt.Errorf("certificate of %s lacks key usage digitalSignature", id)
	}
	return id, nil
}
