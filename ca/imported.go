package ca

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// Imported is an intermediate that somebody else has signed, with the root that did.
type Imported struct {
	TrustDomain  spiffeid.TrustDomain
	Intermediate *x509.Certificate
	Root         *x509.Certificate
	Signer       crypto.Signer // the intermediate's key
	Covers       time.Duration // how long the intermediate must last from now: the longest leaf
}

// Check reports why the intermediate cannot be adopted at now. It refuses all that [NewSet] does,
// and what would make the intermediate of no use.
//
// A root needs the SPIFFE ID of the trust domain like any other one. The root of a whole company
// has none, and should not: verifiers trust a root with all that it ever signed, and would take
// a certificate of any of its other CAs for one of this trust domain. But it may sign a CA for the
// trust domain, and that is then the root here: trusted by itself, whoever signed it.
func (i Imported) Check(now time.Time) error {
	if i.Intermediate == nil || i.Root == nil || i.Signer == nil {
		return errors.New("imported intermediate: its certificate, its root or its key is missing")
	}
	if err := i.checkAlone(now); err != nil {
		return fmt.Errorf("imported intermediate: %w", err)
	}
	if err := i.checkRoot(now); err != nil {
		return fmt.Errorf("imported root: %w", err)
	}
	if err := i.checkTogether(); err != nil {
		return fmt.Errorf("imported intermediate: %w", err)
	}
	// Whatever is forgotten above: no generation is written that replicas could not adopt.
	root, intermediate := AuthorityID(i.Root), AuthorityID(i.Intermediate)
	_, err := NewSet(SetConfig{
		TrustDomain: i.TrustDomain, Generation: 1, WindowKey: make([]byte, minWindowKey),
		Authorities: []AuthorityConfig{
			{ID: root, Role: RoleRoot, State: StateActive, Certificate: i.Root.Raw},
			{ID: intermediate, Role: RoleIntermediate, State: StateActive, ParentID: root, Certificate: i.Intermediate.Raw, Signer: i.Signer},
		},
	}, now)
	return err
}

func (i Imported) checkAlone(now time.Time) error {
	cert := i.Intermediate
	switch end := now.Add(i.Covers); {
	case !samePublicKey(cert.PublicKey, i.Signer.Public()):
		return errors.New("its certificate is not for the key that was requested")
	case now.Before(cert.NotBefore):
		return fmt.Errorf("it is not valid before %s", rfc3339(cert.NotBefore))
	case now.After(cert.NotAfter):
		return fmt.Errorf("it expired at %s", rfc3339(cert.NotAfter))
	case end.After(cert.NotAfter):
		return fmt.Errorf("it ends at %s and cannot cover the longest leaf, %s", rfc3339(cert.NotAfter), i.Covers)
	}
	return prefixed("it", checkAuthority(cert, i.TrustDomain))
}

func (i Imported) checkRoot(now time.Time) error {
	root := i.Root
	if err := checkSelfSigned(root); err != nil {
		return prefixed("it", err)
	}
	if len(root.URIs) == 0 {
		return fmt.Errorf("it has no SPIFFE ID: verifiers would take whatever it ever signed for a part of this trust domain; "+
			"have it sign a CA with the SPIFFE ID %s, and import that as the root, or use a root that pando ceremony root makes", i.TrustDomain.ID())
	}
	if err := checkAuthority(root, i.TrustDomain); err != nil {
		return prefixed("it", err)
	}
	switch {
	case now.Before(root.NotBefore):
		return fmt.Errorf("it is not valid before %s", rfc3339(root.NotBefore))
	case now.After(root.NotAfter):
		return fmt.Errorf("it expired at %s", rfc3339(root.NotAfter))
	}
	return nil
}

func (i Imported) checkTogether() error {
	root, cert := i.Root, i.Intermediate
	switch {
	case samePublicKey(root.PublicKey, cert.PublicKey):
		return errors.New("it has the key of its root")
	case root.MaxPathLenZero:
		return errors.New("the path length of its root lets that sign leaves only")
	}
	if err := cert.CheckSignatureFrom(root); err != nil {
		return fmt.Errorf("it was not signed by the root that comes with it: %w", err)
	}
	if cert.NotBefore.Before(root.NotBefore) || cert.NotAfter.After(root.NotAfter) {
		return fmt.Errorf("its validity, %s to %s, does not lie within that of its root, %s to %s",
			rfc3339(cert.NotBefore), rfc3339(cert.NotAfter), rfc3339(root.NotBefore), rfc3339(root.NotAfter))
	}
	return nil
}

// prefixed puts a subject before a predicate.
func prefixed(subject string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %w", subject, err)
}
