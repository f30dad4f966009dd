package ca

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// VerifyPeer verifies the certificate that a peer presents as a client, and returns its
// SPIFFE ID (X509-SVID, section 5; RFC 5280, section 6). The certificate must be a leaf of
// this trust domain for client authentication, valid at now, with a chain to a published
// root through no revoked authority. Whether the certificate itself was revoked is for the
// store to say.
//
// A leaf of an intermediate of this set costs one signature verification, and needs no
// presented intermediates: its chain above was verified by [NewSet].
func (s *Set) VerifyPeer(cert *x509.Certificate, intermediates []*x509.Certificate, now time.Time) (spiffeid.ID, error) {
	id, err := s.checkPeer(cert, now)
	if err != nil {
		return spiffeid.ID{}, fmt.Errorf("verify peer: %w", err)
	}
	if issuer := s.issuerOf(cert); issuer != nil {
		err = issuer.vouches(cert, now)
	} else {
		err = s.verifyPath(cert, intermediates, now)
	}
	if err != nil {
		return spiffeid.ID{}, fmt.Errorf("verify peer: %w", err)
	}
	return id, nil
}

// checkPeer checks what can be seen in the leaf alone (X509-SVID, section 5.2).
func (s *Set) checkPeer(cert *x509.Certificate, now time.Time) (spiffeid.ID, error) {
	id, err := spiffeid.FromCertificate(cert)
	switch {
	case err != nil:
		return spiffeid.ID{}, err
	case !id.MemberOf(s.trustDomain):
		err = fmt.Errorf("SPIFFE ID %s is not in trust domain %s", id, s.trustDomain)
	case id.Path() == "":
		err = fmt.Errorf("SPIFFE ID %s is that of an authority", id)
	case cert.IsCA:
		err = errors.New("certificate is that of a CA")
	case cert.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0:
		err = errors.New("certificate has the key usage of a CA")
	case cert.KeyUsage&x509.KeyUsageDigitalSignature == 0:
		err = errors.New("certificate lacks key usage digitalSignature")
	case !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth):
		err = errors.New("certificate lacks extended key usage clientAuth")
	case len(cert.UnhandledCriticalExtensions) > 0:
		err = fmt.Errorf("certificate has an unknown critical extension, %s", cert.UnhandledCriticalExtensions[0])
	case now.Before(cert.NotBefore):
		err = fmt.Errorf("certificate is not valid before %s", rfc3339(cert.NotBefore))
	case now.After(cert.NotAfter):
		err = fmt.Errorf("certificate expired at %s", rfc3339(cert.NotAfter))
	}
	if err != nil {
		return spiffeid.ID{}, err
	}
	return id, nil
}

// issuerOf returns the intermediate of the set that cert names as its issuer, nil if none.
func (s *Set) issuerOf(cert *x509.Certificate) *Authority {
	for _, a := range s.authorities {
		if a.role == RoleIntermediate &&
			bytes.Equal(a.cert.SubjectKeyId, cert.AuthorityKeyId) &&
			bytes.Equal(a.cert.RawSubject, cert.RawIssuer) {
			return a
		}
	}
	return nil
}

// vouches reports why the intermediate, which was verified up to its root by NewSet, does
// not vouch for cert at now.
func (a *Authority) vouches(cert *x509.Certificate, now time.Time) error {
	switch {
	case a.state == StateRevoked:
		return fmt.Errorf("issuer %s is revoked", a.id)
	case !a.parent.state.Published():
		return fmt.Errorf("root %s of issuer %s is not published", a.parentID, a.id)
	case !a.validAt(now) || !a.parent.validAt(now):
		return fmt.Errorf("issuer %s or its root is not valid at %s", a.id, rfc3339(now))
	}
	if err := cert.CheckSignatureFrom(a.cert); err != nil {
		return fmt.Errorf("issuer %s: %w", a.id, err)
	}
	return nil
}

func (a *Authority) validAt(now time.Time) bool {
	return !now.Before(a.cert.NotBefore) && !now.After(a.cert.NotAfter)
}

// maxPresented is the most intermediates that are looked at: the issuer, all
// cross-certificates of a chain of this CA, and an anchor that somebody else has signed.
const maxPresented = 1 + MaxCross + 1

// verifyPath verifies a leaf of an intermediate that this set does not know, as after a
// restore from a backup, through one that is presented and that a published root has signed;
// or that a root has signed which this set does not know, with cross-certificates that lead to a
// published one.
// A presented certificate with the key of an authority of the set is left out: its own state
// decides, and it was not the issuer. Anybody may present anything: the work is bounded, and
// no signature is verified with a key of a kind that authorities do not have.
func (s *Set) verifyPath(cert *x509.Certificate, intermediates []*x509.Certificate, now time.Time) error {
	if len(intermediates) > maxPresented {
		return fmt.Errorf("%d intermediates are presented, more than %d", len(intermediates), maxPresented)
	}
	for _, c := range intermediates {
		if !names(cert, c) {
			continue
		}
		if err := s.admitsIntermediate(c, intermediates, now); err != nil {
			return err
		}
		return cert.CheckSignatureFrom(c)
	}
	return errors.New("issuer is unknown")
}

// admitsIntermediate reports why a presented certificate cannot stand between a leaf and a
// published root. It climbs, from one cross-certificate to the next, as often as there are
// certificates.
func (s *Set) admitsIntermediate(c *x509.Certificate, presented []*x509.Certificate, now time.Time) error {
	for range presented {
		if err := s.admitsPresented(c, now); err != nil || s.signedByRoot(c, now) == nil {
			return err
		}
		cross := crossOf(c, presented)
		if cross == nil {
			return errNoRoot
		}
		if err := c.CheckSignatureFrom(cross); err != nil {
			return err
		}
		c = cross
	}
	return errNoRoot
}

// crossOf returns the presented certificate that c names as its issuer, nil if there is none that
// may sign authorities.
func crossOf(c *x509.Certificate, presented []*x509.Certificate) *x509.Certificate {
	for _, cross := range presented {
		if cross != c && names(c, cross) && !cross.MaxPathLenZero {
			return cross
		}
	}
	return nil
}

// admitsPresented reports why a presented certificate cannot be one of an authority that this
// set does not know.
func (s *Set) admitsPresented(c *x509.Certificate, now time.Time) error {
	key, err := HashPublicKey(c.PublicKey)
	switch {
	case err != nil:
		return err
	case s.OwnsKey(key):
		return errors.New("presented intermediate has the key of a known authority")
	}
	if err := checkAuthority(c, s.trustDomain); err != nil {
		return fmt.Errorf("presented intermediate %w", err)
	}
	if now.Before(c.NotBefore) || now.After(c.NotAfter) {
		return errors.New("presented intermediate is not valid now")
	}
	return nil
}

var errNoRoot = errors.New("presented intermediate is not signed by a published root")

// signedByRoot returns nil if a published root that is valid now has signed c.
func (s *Set) signedByRoot(c *x509.Certificate, now time.Time) error {
	for _, root := range s.roots {
		if names(c, root) && !now.Before(root.NotBefore) && !now.After(root.NotAfter) {
			return c.CheckSignatureFrom(root)
		}
	}
	return errNoRoot
}

// names reports whether cert says that issuer signed it.
func names(cert, issuer *x509.Certificate) bool {
	return bytes.Equal(issuer.RawSubject, cert.RawIssuer) && bytes.Equal(issuer.SubjectKeyId, cert.AuthorityKeyId)
}
