package rotation_test

import (
	"crypto/x509"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/spiffeid"
)

// modelChain is a chain as it is presented: one real leaf stands for all that one issuer signed.
type modelChain struct {
	leaf  *x509.Certificate
	above []*x509.Certificate // the issuer, then perhaps cross-certificates
	root  string              // ID of the root above the issuer
}

// modelVerifier asks Go's verifier, and remembers for how long an answer holds: until the first
// certificate of the path expires.
type modelVerifier struct {
	chains map[string]*modelChain // by the presented certificates
	leaves map[string]*x509.Certificate
	pools  map[uint64]*x509.CertPool
	until  map[question]time.Time
	asked  int
}

// question is whether a chain verifies under a bundle.
type question struct {
	chain    *modelChain
	sequence uint64
	direct   bool // without the cross-certificate
}

func newModelVerifier() *modelVerifier {
	return &modelVerifier{
		chains: make(map[string]*modelChain), leaves: make(map[string]*x509.Certificate),
		pools: make(map[uint64]*x509.CertPool), until: make(map[question]time.Time),
	}
}

// chain returns what a leaf of the issuer is presented with.
func (v *modelVerifier) chain(td spiffeid.TrustDomain, issuer *ca.Authority) (*modelChain, error) {
	name := fmt.Sprintf("%s+%d", issuer.ID(), len(issuer.Chain()))
	if c := v.chains[name]; c != nil {
		return c, nil
	}
	c := &modelChain{leaf: v.leaves[issuer.ID()], root: issuer.ParentID()}
	if c.leaf == nil {
		id, err := spiffeid.Join(td, "workload")
		if err != nil {
			return nil, err
		}
		signed, err := issuer.Sign(ca.Leaf{
			PublicKey: newP256("").Public(), ID: id, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
			NotBefore: issuer.Certificate().NotBefore, NotAfter: issuer.Certificate().NotAfter,
		})
		if err != nil {
			return nil, err
		}
		c.leaf = signed.Leaf
		v.leaves[issuer.ID()] = c.leaf
	}
	for _, der := range issuer.Chain() {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		c.above = append(c.above, cert)
	}
	v.chains[name] = c
	return c, nil
}

// verify verifies at now under the roots of the bundle with the sequence of q.
func (v *modelVerifier) verify(q question, roots []*x509.Certificate, now time.Time) error {
	if until, ok := v.until[q]; ok && now.Before(until) {
		return nil
	}
	v.asked++
	if v.pools[q.sequence] == nil {
		v.pools[q.sequence] = poolOf(roots)
	}
	above := q.chain.above
	if q.direct {
		above = above[:1]
	}
	paths, err := q.chain.leaf.Verify(x509.VerifyOptions{
		Roots: v.pools[q.sequence], Intermediates: poolOf(above), CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return err
	}
	for _, path := range paths {
		end := path[0].NotAfter
		for _, cert := range path {
			if cert.NotAfter.Before(end) {
				end = cert.NotAfter
			}
		}
		if end.After(v.until[q]) {
			v.until[q] = end
		}
	}
	return nil
}

func poolOf(certs []*x509.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, cert := range certs {
		pool.AddCert(cert)
	}
	return pool
}
