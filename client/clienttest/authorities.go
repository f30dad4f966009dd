package clienttest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

const (
	rootLife    = 3 * 365 * 24 * time.Hour // of roots and intermediates, as Pando's roots have it
	servingLife = 90 * 24 * time.Hour
	maxSkew     = time.Minute // how far a leaf is backdated at most
	firstBundle = 7           // the first sequence: not one that a client could take for none

	// backdated is how long before its making an authority begins, so that a CA whose clock is
	// set back can still sign.
	backdated = 24 * time.Hour
)

// state is where an authority stands in its life.
type state string

const (
	prepared state = "prepared" // a root that is published and signs nothing
	active   state = "active"
	retiring state = "retiring"
	tainted  state = "tainted" // its key is known to others
	retired  state = "retired" // or revoked: not published any more
)

// authority is a root or an intermediate.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	state       state
	parent      *authority        // of an intermediate; nil: it is a root
	cross       *x509.Certificate // of a root by the one before; nil: there was none
	crossBy     *authority
}

// id is how Pando names an authority.
func (a *authority) id() string {
	digest := sha256.Sum256(a.certificate.Raw)
	return hex.EncodeToString(digest[:8])
}

// keyHash is how a revoked authority is told.
func (a *authority) keyHash() string {
	digest := sha256.Sum256(a.certificate.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(digest[:])
}

// authorities is a generation of them. Its owner's mutex guards it.
type authorities struct {
	name     spiffeid.TrustDomain
	roots    []*authority // the oldest first; never removed
	issuers  []*authority // the last one signs
	sequence uint64
	shown    *tls.Certificate // by the doors
}

// found makes the first root and the first intermediate.
func (s *authorities) found(domain spiffeid.TrustDomain, now time.Time) {
	s.name, s.sequence = domain, firstBundle
	s.roots = []*authority{s.newRoot(now)}
	s.roots[0].state = active
	s.newIssuer(now)
}

// root returns the last root in a state, nil if there is none.
func (s *authorities) root(in state) *authority {
	for i := len(s.roots) - 1; i >= 0; i-- {
		if s.roots[i].state == in {
			return s.roots[i]
		}
	}
	return nil
}

func (s *authorities) issuer() *authority { return s.issuers[len(s.issuers)-1] }

// published returns the roots of the trust bundle.
func (s *authorities) published() (certs []*x509.Certificate) {
	for _, root := range s.roots {
		if root.state != retired {
			certs = append(certs, root.certificate)
		}
	}
	return certs
}

func (s *authorities) newRoot(now time.Time) *authority {
	a := &authority{key: newKey(), state: prepared}
	template := s.template("root", a.key, now)
	a.certificate = sign(template, template, a.key.Public(), a.key)
	return a
}

// newIssuer makes the intermediate that signs from now on, under the active root.
func (s *authorities) newIssuer(now time.Time) {
	root := s.root(active)
	a := &authority{key: newKey(), state: active, parent: root}
	template := s.template("intermediate", a.key, now)
	template.MaxPathLenZero = true
	if template.NotAfter.After(root.certificate.NotAfter) {
		template.NotAfter = root.certificate.NotAfter
	}
	a.certificate = sign(template, root.certificate, a.key.Public(), root.key)
	s.issuers, s.shown = append(s.issuers, a), nil
}

// crossSign has an older root vouch for the key of a newer one.
func (s *authorities) crossSign(root, by *authority) {
	template := s.template("root", root.key, root.certificate.NotBefore)
	template.Subject, template.SubjectKeyId = root.certificate.Subject, root.certificate.SubjectKeyId
	template.NotBefore, template.NotAfter = root.certificate.NotBefore, by.certificate.NotAfter
	root.cross, root.crossBy = sign(template, by.certificate, root.key.Public(), by.key), by
}

// chain returns what stands above the leaves of an intermediate: itself, and the cross-certificates
// to those roots before its own that somebody may hold alone.
func (s *authorities) chain(issuer *authority) []*x509.Certificate {
	certs := []*x509.Certificate{issuer.certificate}
	for root := issuer.parent; root.cross != nil; root = root.crossBy {
		if root.crossBy.state != retiring && root.crossBy.state != tainted {
			break
		}
		certs = append(certs, root.cross)
	}
	return certs
}

// template is what the certificates of authorities have in common.
func (s *authorities) template(kind string, key *ecdsa.PrivateKey, now time.Time) *x509.Certificate {
	keyID := sha256.Sum256(must(x509.MarshalPKIXPublicKey(key.Public())))
	return &x509.Certificate{
		SerialNumber: newSerial(now.Add(rootLife)),
		Subject:      pkix.Name{CommonName: fmt.Sprintf("test double of Pando, %s %x", kind, keyID[:8])},
		SubjectKeyId: keyID[:20], NotBefore: now.Add(-backdated).Truncate(time.Second), NotAfter: now.Add(rootLife).Truncate(time.Second),
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		URIs: []*url.URL{uri(s.name.ID())},
	}
}

// leaf signs the certificate of a workload, from now on for d.
func (s *authorities) leaf(w wanted, now time.Time) *x509.Certificate {
	issuer := s.issuer()
	notBefore := now.Add(-min(maxSkew, w.lifetime/10)).UTC().Truncate(time.Second)
	notAfter := notBefore.Add(w.lifetime.Truncate(time.Second))
	template := &x509.Certificate{
		SerialNumber: newSerial(notAfter), NotBefore: notBefore, NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, URIs: []*url.URL{uri(w.id)}, DNSNames: w.dnsNames,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	return sign(template, issuer.certificate, w.key, issuer.key)
}

// serving returns what the doors show: made anew with each issuer, and long before it ends.
func (c *CA) serving() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if c.shown != nil && now.Before(c.shown.Leaf.NotAfter.Add(-servingLife/3)) {
		return c.shown
	}
	key := newKey()
	leaf := c.leaf(wanted{
		id: must(spiffeid.Join(c.domain, "pando", "server")), dnsNames: []string{"localhost", "pando.test"},
		key: key.Public(), lifetime: servingLife,
	}, now)
	c.shown = c.pair(leaf, key, c.issuer())
	return c.shown
}

// pair is a leaf with its key and chain, as its holder presents it.
func (s *authorities) pair(leaf *x509.Certificate, key crypto.Signer, issuer *authority) *tls.Certificate {
	cert := &tls.Certificate{PrivateKey: key, Leaf: leaf, Certificate: [][]byte{leaf.Raw}}
	for _, above := range s.chain(issuer) {
		cert.Certificate = append(cert.Certificate, above.Raw)
	}
	return cert
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// newSerial is a serial number as Pando makes them: the second of notAfter, then 15 random octets.
func newSerial(notAfter time.Time) *big.Int {
	var n [19]byte
	rand.Read(n[:])
	binary.BigEndian.PutUint32(n[:], uint32(notAfter.Unix()))
	return new(big.Int).SetBytes(n[:])
}

func serialText(cert *x509.Certificate) string { return fmt.Sprintf("%038x", cert.SerialNumber) }

func sign(template, parent *x509.Certificate, key crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, parent, key, by))))
}

func uri(id spiffeid.ID) *url.URL { return must(url.Parse(id.String())) }

func encodePEM(certs ...*x509.Certificate) string {
	var b strings.Builder
	for _, cert := range certs {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	}
	return b.String()
}
