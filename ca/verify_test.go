package ca_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
)

// anotherKeys returns a signing function that uses a key of its own.
func anotherKeys(t testing.TB, alg ca.KeyAlgorithm) func([]byte, crypto.SignerOpts) ([]byte, error) {
	key := catest.Key(t, alg)
	return func(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
		return key.Sign(rand.Reader, digest, opts)
	}
}

// forge signs, with the issuer's key, a leaf that Sign would not.
func forge(t testing.TB, cfg ca.SetConfig, spoil func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	issuer := cfg.Authorities[intermediate]
	parent, err := x509.ParseCertificate(issuer.Certificate)
	check(t, err)
	return forgeUnder(t, parent, issuer.Signer, spoil)
}

func forgeUnder(t testing.TB, parent *x509.Certificate, signer crypto.Signer, spoil func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: noon.Add(-time.Minute), NotAfter: noon.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true, URIs: []*url.URL{parseID(t, "spiffe://example.org/web").URL()},
	}
	spoil(template)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, catest.Key(t, ca.ECDSAP256).Public(), signer)
	check(t, err)
	cert, err := x509.ParseCertificate(der)
	check(t, err)
	return cert
}

func TestVerifyPeerRefuses(t *testing.T) {
	pki := catest.New(t, catest.Options{Now: noon})
	other := catest.New(t, catest.Options{Now: noon})
	cfg := pki.SetConfig()
	web := parseID(t, "spiffe://example.org/web").URL()
	for name, tt := range map[string]struct {
		spoil func(*x509.Certificate)
		now   time.Time
		want  string
	}{
		"no URI":               {want: "0 URI", spoil: func(c *x509.Certificate) { c.URIs = nil }},
		"two URIs":             {want: "2 URI", spoil: func(c *x509.Certificate) { c.URIs = append(c.URIs, web) }},
		"another trust domain": {want: "not in trust domain", spoil: func(c *x509.Certificate) { c.URIs[0].Host = "example.com" }},
		"an ID without a path": {want: "authority", spoil: func(c *x509.Certificate) { c.URIs[0].Path = "" }},
		"an https URI":         {want: "spiffe://", spoil: func(c *x509.Certificate) { c.URIs[0].Scheme = "https" }},
		"a CA":                 {want: "CA", spoil: func(c *x509.Certificate) { c.IsCA = true }},
		"keyCertSign":          {want: "CA", spoil: func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }},
		"cRLSign":              {want: "CA", spoil: func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCRLSign }},
		"no digitalSignature":  {want: "digitalSignature", spoil: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }},
		"no key usage":         {want: "digitalSignature", spoil: func(c *x509.Certificate) { c.KeyUsage = 0 }},
		"serverAuth only":      {want: "clientAuth", spoil: func(c *x509.Certificate) { c.ExtKeyUsage[0] = x509.ExtKeyUsageServerAuth }},
		"no extended usage":    {want: "clientAuth", spoil: func(c *x509.Certificate) { c.ExtKeyUsage = nil }},
		"an unknown critical extension": {want: "critical", spoil: func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		}},
		"expired":           {want: "expired", now: noon.Add(time.Hour + time.Second)},
		"not yet valid":     {want: "not valid before", now: noon.Add(-2 * time.Minute)},
		"an expired issuer": {want: "not valid at", now: noon.AddDate(0, 0, 181), spoil: func(c *x509.Certificate) { c.NotAfter = noon.AddDate(1, 0, 0) }},
	} {
		t.Run(name, func(t *testing.T) {
			cert := forge(t, cfg, func(c *x509.Certificate) {
				if tt.spoil != nil {
					tt.spoil(c)
				}
			})
			now := tt.now
			if now.IsZero() {
				now = noon
			}
			wantRefused(t, pki.Set(), cert, nil, now, tt.want)
		})
	}
	t.Run("a leaf of another CA of the same name", func(t *testing.T) {
		cert := other.Issue(t, "spiffe://example.org/web", catest.Leaf{})
		parent := other.Set().Issuer().Certificate()
		wantRefused(t, pki.Set(), cert.Leaf, []*x509.Certificate{parent}, noon, "not signed by a published root")
	})
	t.Run("a leaf that names the issuer but was signed with another key", func(t *testing.T) {
		parent := *pki.Set().Issuer().Certificate()
		key := catest.Key(t, ca.ECDSAP256)
		parent.PublicKey = key.Public()
		wantRefused(t, pki.Set(), forgeUnder(t, &parent, key, func(*x509.Certificate) {}), nil, noon, "verification")
	})
	t.Run("an intermediate as client", func(t *testing.T) {
		wantRefused(t, pki.Set(), pki.Set().Issuer().Certificate(), nil, noon, "authority")
	})
	t.Run("a root as client", func(t *testing.T) { wantRefused(t, pki.Set(), pki.Set().Roots()[0], nil, noon, "authority") })
}

func wantRefused(t *testing.T, set *ca.Set, cert *x509.Certificate, chain []*x509.Certificate, now time.Time, want string) {
	t.Helper()
	id, err := set.VerifyPeer(cert, chain, now)
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("VerifyPeer = %q, %v, want an error about %q", id, err, want)
	}
	if !id.IsZero() {
		t.Errorf("the refused peer was given the identity %q", id)
	}
}

func TestVerifyPeerByStateOfTheIssuer(t *testing.T) {
	for name, tt := range map[string]struct {
		issuer, root ca.State
		ok           bool
	}{
		"retiring":                 {ca.StateRetiring, ca.StateActive, true},
		"prepared":                 {ca.StatePrepared, ca.StateActive, true},
		"retired":                  {ca.StateRetired, ca.StateActive, true},
		"tainted, so it can renew": {ca.StateTainted, ca.StateActive, true},
		"revoked":                  {ca.StateRevoked, ca.StateActive, false},
		"under a retiring root":    {ca.StateRetiring, ca.StateRetiring, true},
		"under a tainted root":     {ca.StateTainted, ca.StateTainted, true},
		"under a retired root":     {ca.StateRetiring, ca.StateRetired, false},
		"under a revoked root":     {ca.StateRetiring, ca.StateRevoked, false},
	} {
		t.Run(name, func(t *testing.T) {
			old := catest.New(t, catest.Options{Now: noon})
			peer := old.Issue(t, "spiffe://example.org/web", catest.Leaf{})
			cfg := catest.New(t, catest.Options{Now: noon}).SetConfig()
			was := old.SetConfig().Authorities
			was[root].State, was[intermediate].State = tt.root, tt.issuer
			cfg.Authorities = append(cfg.Authorities, was...)
			set, err := ca.NewSet(cfg, noon)
			check(t, err)
			presented := []*x509.Certificate{old.Set().Issuer().Certificate()}
			for _, chain := range [][]*x509.Certificate{nil, presented} {
				id, err := set.VerifyPeer(peer.Leaf, chain, noon)
				if (err == nil) != tt.ok {
					t.Errorf("with %d presented: VerifyPeer = %q, %v, want accepted %t", len(chain), id, err, tt.ok)
				}
			}
		})
	}
}

func TestVerifyPeerThroughAPresentedIntermediate(t *testing.T) {
	pki := catest.New(t, catest.Options{Now: noon})
	unknown := sibling(t, pki, ca.StateActive)
	parent, err := x509.ParseCertificate(unknown.Certificate)
	check(t, err)
	peer := forgeUnder(t, parent, unknown.Signer, func(*x509.Certificate) {})

	wantRefused(t, pki.Set(), peer, nil, noon, "issuer is unknown")
	many := slices.Repeat([]*x509.Certificate{parent}, 6)
	wantRefused(t, pki.Set(), peer, many, noon, "more than 5")
	id, err := pki.Set().VerifyPeer(peer, []*x509.Certificate{parent}, noon)
	if err != nil || id.String() != "spiffe://example.org/web" {
		t.Errorf("VerifyPeer = %q, %v", id, err)
	}
}

// TestVerifyPeerIgnoresARevokedKeyUnderANewName presents a second certificate, under a
// published root, for the key of a revoked intermediate.
func TestVerifyPeerIgnoresARevokedKeyUnderANewName(t *testing.T) {
	pki := catest.New(t, catest.Options{Now: noon})
	cfg := pki.SetConfig()
	revoked := sibling(t, pki, ca.StateRevoked)
	cfg.Authorities = append(cfg.Authorities, revoked)
	set, err := ca.NewSet(cfg, noon)
	check(t, err)
	disguise := forgeUnder(t, pki.Set().Roots()[0], cfg.Authorities[root].Signer, func(c *x509.Certificate) {
		c.Subject, c.IsCA, c.KeyUsage, c.ExtKeyUsage = pkix.Name{CommonName: "disguise"}, true, x509.KeyUsageCertSign, nil
	})
	disguise.PublicKey = revoked.Signer.Public()
	peer := forgeUnder(t, disguise, revoked.Signer, func(*x509.Certificate) {})
	wantRefused(t, set, peer, []*x509.Certificate{disguise}, noon, "key of a known authority")
}

// TestVerifyPeerAgreesWithTheStandardLibrary holds the short way against a full path
// validation, for every key algorithm of an issuer.
func TestVerifyPeerAgreesWithTheStandardLibrary(t *testing.T) {
	for _, alg := range []ca.KeyAlgorithm{ca.ECDSAP256, ca.ECDSAP384, ca.Ed25519, ca.RSA2048} {
		t.Run(string(alg), func(t *testing.T) {
			pki := catest.New(t, catest.Options{Now: noon, IntermediateKey: alg})
			peer := pki.Issue(t, "spiffe://example.org/web", catest.Leaf{})
			id, err := pki.Set().VerifyPeer(peer.Leaf, nil, noon)
			if err != nil || id.String() != "spiffe://example.org/web" {
				t.Errorf("VerifyPeer = %q, %v", id, err)
			}
			pool := x509.NewCertPool()
			pool.AddCert(pki.Set().Issuer().Certificate())
			_, err = peer.Leaf.Verify(x509.VerifyOptions{
				Roots: pki.RootPool(), Intermediates: pool, CurrentTime: noon,
				KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			})
			check(t, err)
		})
	}
}
