package client

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"math/big"
	"net/url"
	"strings"
	"time"
)

// pki is a root and an intermediate that live as long as a test. Its methods panic, so that
// examples can use it too.
type pki struct {
	domain   string
	root     *x509.Certificate
	issuer   *x509.Certificate
	rootKey  crypto.Signer
	issueKey crypto.Signer
	cross    *x509.Certificate // of the root by an older one; nil: none
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newPKI(domain string) *pki {
	p := &pki{domain: domain, rootKey: newTestKey(), issueKey: newTestKey()}
	now := time.Now()
	p.root = p.authority("root", now.AddDate(3, 0, 0), p.rootKey.Public(), nil)
	p.issuer = p.authority("intermediate", now.AddDate(1, 0, 0), p.issueKey.Public(), p.root)
	return p
}

func newTestKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// authority makes a CA certificate, signed by the root; a root if parent is nil.
func (p *pki) authority(name string, notAfter time.Time, key crypto.PublicKey, parent *x509.Certificate) *x509.Certificate {
	serial := newSerial()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name + " " + serial.Text(16)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: notAfter,
		BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		URIs: []*url.URL{must(url.Parse("spiffe://" + p.domain))},
	}
	if parent == nil {
		parent = template
	}
	der := must(x509.CreateCertificate(rand.Reader, template, parent, key, p.rootKey))
	return must(x509.ParseCertificate(der))
}

// crossed returns p with chains that end in its root as signed by the root of old.
func (p *pki) crossed(old *pki) *pki {
	template := &x509.Certificate{
		SerialNumber: newSerial(), Subject: p.root.Subject, SubjectKeyId: p.root.SubjectKeyId,
		NotBefore: p.root.NotBefore, NotAfter: old.root.NotAfter,
		BasicConstraintsValid: true, IsCA: true, KeyUsage: p.root.KeyUsage, URIs: p.root.URIs,
	}
	der := must(x509.CreateCertificate(rand.Reader, template, old.root, p.rootKey.Public(), old.rootKey))
	both := *p
	both.cross = must(x509.ParseCertificate(der))
	return &both
}

func newSerial() *big.Int {
	var serial [19]byte
	rand.Read(serial[:])
	serial[0] = 0x2b
	return new(big.Int).SetBytes(serial[:])
}

// newSerialUntil is a serial number as Pando gives to a leaf that ends then.
func newSerialUntil(notAfter time.Time) *big.Int {
	n := randomSerial(notAfter)
	return new(big.Int).SetBytes(n[:])
}

func randomSerial(notAfter time.Time) (n serial) {
	rand.Read(n[:])
	binary.BigEndian.PutUint32(n[:], uint32(notAfter.Unix()))
	return n
}

// leafTemplate is a workload's certificate for d from now on.
func leafTemplate(id string, d time.Duration) *x509.Certificate {
	notBefore := time.Now().Add(-min(time.Minute, d/10)).Truncate(time.Second)
	return &x509.Certificate{
		SerialNumber: newSerialUntil(notBefore.Add(d)), NotBefore: notBefore, NotAfter: notBefore.Add(d),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{must(url.Parse(id))},
	}
}

// sign returns the chain of a leaf, without the root.
func (p *pki) sign(template *x509.Certificate, key crypto.PublicKey) []*x509.Certificate {
	der := must(x509.CreateCertificate(rand.Reader, template, p.issuer, key, p.issueKey))
	chain := []*x509.Certificate{must(x509.ParseCertificate(der)), p.issuer}
	if p.cross != nil {
		chain = append(chain, p.cross)
	}
	return chain
}

// identity returns a certificate with its key, as a peer holds it.
func (p *pki) identity(template *x509.Certificate) tls.Certificate {
	key := newTestKey()
	return keyPair(p.sign(template, key.Public()), key)
}

func keyPair(chain []*x509.Certificate, key crypto.Signer) tls.Certificate {
	cert := tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, c := range chain {
		cert.Certificate = append(cert.Certificate, c.Raw)
	}
	return cert
}

func (p *pki) bundle() []byte { return []byte(encodePEM(p.root)) }

func encodePEM(certs ...*x509.Certificate) string {
	var b strings.Builder
	for _, cert := range certs {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
	}
	return b.String()
}
