package ca

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// CrossConfig is what a cross-certificate is made of.
type CrossConfig struct {
	TrustDomain  spiffeid.TrustDomain
	Root         *x509.Certificate // the new root, whose key is certified
	Parent       *x509.Certificate // the old root, which verifiers know
	ParentSigner crypto.Signer
	NotAfter     time.Time // zero: the earlier end of both roots; not after it
	URLs         URLs
}

// CrossSign certifies the key of a new root by an old one (RFC 5280, section 3.2). The
// cross-certificate has the subject, key and key identifier of the new root, so that what the
// new root signed also has a path to the old one: who holds either root, or both, succeeds.
func CrossSign(cfg CrossConfig) (*x509.Certificate, error) {
	cert, err := crossSign(cfg)
	if err != nil {
		return nil, fmt.Errorf("cross-sign: %w", err)
	}
	return cert, nil
}

func crossSign(cfg CrossConfig) (*x509.Certificate, error) {
	if cfg.Root == nil || cfg.Parent == nil || cfg.ParentSigner == nil {
		return nil, errors.New("root, parent or its signer is missing")
	}
	if err := cfg.URLs.Validate(); err != nil {
		return nil, err
	}
	for name, cert := range map[string]*x509.Certificate{"root": cfg.Root, "parent": cfg.Parent} {
		if err := checkAuthority(cert, cfg.TrustDomain); err != nil {
			return nil, fmt.Errorf("%s %w", name, err)
		}
	}
	end := cfg.Root.NotAfter
	if cfg.Parent.NotAfter.Before(end) {
		end = cfg.Parent.NotAfter
	}
	if cfg.NotAfter.IsZero() {
		cfg.NotAfter = end
	}
	switch {
	case samePublicKey(cfg.Root.PublicKey, cfg.Parent.PublicKey):
		return nil, errors.New("both roots have the same key")
	case cfg.NotAfter.After(end):
		return nil, fmt.Errorf("end %s is after that of a root, %s", rfc3339(cfg.NotAfter), rfc3339(end))
	}
	template, err := authorityTemplate("root", cfg.TrustDomain, cfg.Root.PublicKey, cfg.Root.NotBefore.Add(MaxSkew), cfg.NotAfter)
	if err != nil {
		return nil, err
	}
	template.RawSubject = cfg.Root.RawSubject
	template.SubjectKeyId = cfg.Root.SubjectKeyId
	template.AuthorityKeyId = cfg.Parent.SubjectKeyId
	template.MaxPathLen = -1 // absent, as in the root that it stands for
	template.IssuingCertificateURL, template.CRLDistributionPoints = cfg.URLs.ofRoot(cfg.Parent)
	return signAuthority(template, cfg.Parent, cfg.Root.PublicKey, cfg.ParentSigner)
}

// linkCross checks the cross-certificate of a root, if it has one. Its parent may be gone from
// the set by now: then no chain carries it any more.
func (s *Set) linkCross(a *Authority) error {
	if a.crossParentID == "" && a.cross == nil {
		return nil
	}
	if a.crossParentID == "" || a.cross == nil {
		return errors.New("cross-certificate or the ID of its parent is missing")
	}
	if err := checkAuthority(a.cross, s.trustDomain); err != nil {
		return fmt.Errorf("cross-certificate %w", err)
	}
	switch {
	case a.crossParentID == a.id:
		return errors.New("root is its own cross parent")
	case !samePublicKey(a.cross.PublicKey, a.cert.PublicKey):
		return errors.New("cross-certificate has another key")
	case !bytes.Equal(a.cross.SubjectKeyId, a.cert.SubjectKeyId), !bytes.Equal(a.cross.RawSubject, a.cert.RawSubject):
		return errors.New("cross-certificate has another name or key identifier")
	}
	parent := s.byID[a.crossParentID]
	if parent == nil {
		return nil
	}
	if parent.role != RoleRoot {
		return fmt.Errorf("cross parent %s is not a root", parent.id)
	}
	if err := a.cross.CheckSignatureFrom(parent.cert); err != nil {
		return fmt.Errorf("cross-certificate was not signed by %s: %w", parent.id, err)
	}
	return nil
}

// MaxCross is the most cross-certificates that a chain carries: one for each root before the
// active one that verifiers still hold alone. A handshake carries them all, and [Set.VerifyPeer]
// looks at no more.
const MaxCross = 3

// crossChain is what chains carry above the intermediates of a root: its cross-certificate, while
// the root that signed it is still trusted and signs no more (it is retiring or tainted), and then
// that of this one, and so on. Before, the new root signs nothing; afterwards, no live verifier
// holds the old root alone. A tainted root must vouch, too: until it is revoked there are
// verifiers that know nothing else, and who has stolen its key needs no certificate of ours.
func (s *Set) crossChain(root *Authority) [][]byte {
	var chain [][]byte
	for root.cross != nil && len(chain) < MaxCross {
		parent := s.byID[root.crossParentID]
		if parent == nil || parent.state != StateRetiring && parent.state != StateTainted {
			break
		}
		chain = append(chain, root.cross.Raw)
		root = parent
	}
	return chain
}
