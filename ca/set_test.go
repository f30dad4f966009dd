package ca_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/spiffeid"
)

// root and intermediate are the places of both in the set of a catest PKI.
const (
	root         = 0
	intermediate = 1
)

func TestNewSetRefuses(t *testing.T) {
	day := 24 * time.Hour
	for name, tt := range map[string]struct {
		spoil func(*testing.T, *ca.SetConfig)
		now   time.Time
		want  string // in the error
	}{
		"no trust domain": {want: "trust domain", spoil: func(_ *testing.T, c *ca.SetConfig) { c.TrustDomain = spiffeid.TrustDomain{} }},
		"another trust domain": {want: "SPIFFE ID", spoil: func(t *testing.T, c *ca.SetConfig) {
			c.TrustDomain = parseID(t, "spiffe://example.com").TrustDomain()
		}},
		"a short window key": {want: "window key", spoil: func(_ *testing.T, c *ca.SetConfig) { c.WindowKey = c.WindowKey[:15] }},
		"no authorities":     {want: "no active intermediate", spoil: func(_ *testing.T, c *ca.SetConfig) { c.Authorities = nil }},
		"the same authority twice": {want: "twice", spoil: func(_ *testing.T, c *ca.SetConfig) {
			c.Authorities = append(c.Authorities, c.Authorities[root])
		}},
		"another ID":       {want: "is that of authority", spoil: func(_ *testing.T, c *ca.SetConfig) { c.Authorities[root].ID = "0123456789abcdef" }},
		"an unknown state": {want: "state", spoil: func(_ *testing.T, c *ca.SetConfig) { c.Authorities[root].State = "resting" }},
		"an unknown role":  {want: "role", spoil: func(_ *testing.T, c *ca.SetConfig) { c.Authorities[root].Role = "branch" }},
		"no certificate":   {want: "x509", spoil: func(_ *testing.T, c *ca.SetConfig) { c.Authorities[root].Certificate = nil }},
		"another key for the intermediate": {want: "do not match", spoil: func(t *testing.T, c *ca.SetConfig) {
			c.Authorities[intermediate].Signer = catest.Key(t, ca.ECDSAP256)
		}},
		"another key for the root": {want: "do not match", spoil: func(t *testing.T, c *ca.SetConfig) {
			c.Authorities[root].Signer = catest.Key(t, ca.Ed25519)
		}},
		"no key for the active intermediate": {want: "not at hand", spoil: func(_ *testing.T, c *ca.SetConfig) { c.Authorities[intermediate].Signer = nil }},
		"no active intermediate":             {want: "no active", spoil: func(_ *testing.T, c *ca.SetConfig) { c.Authorities[intermediate].State = ca.StatePrepared }},
		"two active intermediates": {want: "two active", spoil: func(t *testing.T, c *ca.SetConfig) {
			c.Authorities = append(c.Authorities, siblingIn(t, *c, ca.StateActive))
		}},
		"a retired root": {want: "not published", spoil: func(_ *testing.T, c *ca.SetConfig) { c.Authorities[root].State = ca.StateRetired }},
		"a revoked root": {want: "not published", spoil: func(_ *testing.T, c *ca.SetConfig) { c.Authorities[root].State = ca.StateRevoked }},
		"no root":        {want: "not a root of this set", spoil: func(_ *testing.T, c *ca.SetConfig) { c.Authorities = c.Authorities[1:] }},
		"another parent": {want: "not a root of this set", spoil: func(_ *testing.T, c *ca.SetConfig) {
			c.Authorities[intermediate].ParentID = c.Authorities[intermediate].ID
		}},
		"a root with a parent": {want: "has a parent", spoil: func(_ *testing.T, c *ca.SetConfig) { c.Authorities[root].ParentID = "x" }},
		"an intermediate as root": {want: "no active intermediate", spoil: func(_ *testing.T, c *ca.SetConfig) {
			c.Authorities[intermediate].Role, c.Authorities[intermediate].ParentID = ca.RoleRoot, ""
		}},
		"the parent of another set": {want: "not signed by its parent", spoil: func(t *testing.T, c *ca.SetConfig) {
			other := catest.New(t, catest.Options{Now: noon}).SetConfig().Authorities[root]
			c.Authorities[intermediate].ParentID = other.ID
			c.Authorities = append(c.Authorities, other)
		}},
		"an expired intermediate":       {want: "expired", now: noon.Add(181 * day)},
		"an intermediate not yet valid": {want: "not yet valid", now: noon.Add(-time.Hour)},
		"an intermediate without cRLSign": {want: "cRLSign", spoil: func(t *testing.T, c *ca.SetConfig) {
			reissue(t, c, func(x *x509.Certificate) { x.KeyUsage = x509.KeyUsageCertSign })
		}},
		"an intermediate without keyCertSign": {want: "keyCertSign", spoil: func(t *testing.T, c *ca.SetConfig) {
			reissue(t, c, func(x *x509.Certificate) { x.KeyUsage = x509.KeyUsageCRLSign })
		}},
		"an intermediate that is no CA": {want: "not a CA", spoil: func(t *testing.T, c *ca.SetConfig) {
			reissue(t, c, func(x *x509.Certificate) { x.IsCA = false })
		}},
		"an intermediate with a path in its ID": {want: "SPIFFE ID", spoil: func(t *testing.T, c *ca.SetConfig) {
			reissue(t, c, func(x *x509.Certificate) { x.URIs = []*url.URL{parseID(t, "spiffe://example.org/ca").URL()} })
		}},
		"an intermediate without an ID": {want: "SPIFFE ID", spoil: func(t *testing.T, c *ca.SetConfig) {
			reissue(t, c, func(x *x509.Certificate) { x.URIs = nil })
		}},
		"an intermediate that outlives its root": {want: "lie within", spoil: func(t *testing.T, c *ca.SetConfig) {
			reissue(t, c, func(x *x509.Certificate) { x.NotAfter = noon.AddDate(4, 0, 0) })
		}},
		"an intermediate limited to client authentication": {want: "constrains", spoil: func(t *testing.T, c *ca.SetConfig) {
			reissue(t, c, func(x *x509.Certificate) { x.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
		}},
		"an intermediate with name constraints": {want: "constrains", spoil: func(t *testing.T, c *ca.SetConfig) {
			reissue(t, c, func(x *x509.Certificate) { x.PermittedURIDomains = []string{"example.org"} })
		}},
		"an intermediate with an unknown critical extension": {want: "critical", spoil: func(t *testing.T, c *ca.SetConfig) {
			reissue(t, c, func(x *x509.Certificate) {
				x.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := catest.New(t, catest.Options{Now: noon}).SetConfig()
			if tt.spoil != nil {
				tt.spoil(t, &cfg)
			}
			now := tt.now
			if now.IsZero() {
				now = noon
			}
			set, err := ca.NewSet(cfg, now)
			if err == nil || set != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("NewSet = %v, %v, want an error about %q", set, err, tt.want)
			}
		})
	}
}

// reissue replaces the intermediate by one that only a careless CA would sign.
func reissue(t testing.TB, cfg *ca.SetConfig, spoil func(*x509.Certificate)) {
	t.Helper()
	a := &cfg.Authorities[intermediate]
	parent, err := x509.ParseCertificate(cfg.Authorities[root].Certificate)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "careless"},
		NotBefore: noon.Add(-time.Minute), NotAfter: noon.AddDate(0, 1, 0),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true,
		SubjectKeyId: []byte{1, 2, 3}, URIs: []*url.URL{cfg.TrustDomain.ID().URL()},
	}
	spoil(template)
	a.Certificate, err = x509.CreateCertificate(rand.Reader, template, parent, a.Signer.Public(), cfg.Authorities[root].Signer)
	check(t, err)
	cert, err := x509.ParseCertificate(a.Certificate)
	check(t, err)
	a.ID = ca.AuthorityID(cert)
}

func siblingIn(t testing.TB, cfg ca.SetConfig, state ca.State) ca.AuthorityConfig {
	t.Helper()
	parent, err := x509.ParseCertificate(cfg.Authorities[root].Certificate)
	check(t, err)
	key := catest.Key(t, ca.ECDSAP256)
	cert, err := ca.NewIntermediate(ca.IntermediateConfig{
		TrustDomain: cfg.TrustDomain, PublicKey: key.Public(), Parent: parent,
		ParentSigner: cfg.Authorities[root].Signer, NotBefore: noon, NotAfter: noon.Add(24 * time.Hour),
	})
	check(t, err)
	return ca.AuthorityConfig{
		ID: ca.AuthorityID(cert), Role: ca.RoleIntermediate, State: state,
		ParentID: cfg.Authorities[root].ID, Certificate: cert.Raw, Signer: key,
	}
}

func TestSetHoldsWhatItWasMadeOf(t *testing.T) {
	pki := catest.New(t, catest.Options{Now: noon})
	cfg := pki.SetConfig()
	cfg.Generation, cfg.Sequence, cfg.RefreshHint, cfg.PublishedAt = 7, 5, time.Minute, noon
	cfg.Authorities[root].Signer = nil // kept offline
	set, err := ca.NewSet(cfg, noon)
	check(t, err)
	type facts struct {
		TrustDomain          string
		Generation, Sequence uint64
		RefreshHint          time.Duration
		PublishedAt          time.Time
		Issuer               string
		Roots                int
		Root                 string
		RootCanSign          bool
	}
	r, ok := set.Authority(cfg.Authorities[root].ID)
	if !ok {
		t.Fatal("the root is not there")
	}
	got := facts{
		set.TrustDomain().String(), set.Generation(), set.Sequence(), set.RefreshHint(), set.PublishedAt(),
		set.Issuer().ID(), len(set.Roots()), r.ID() + " " + string(r.Role()) + " " + string(r.State()) + " " + r.ParentID(), r.CanSign(),
	}
	want := facts{"example.org", 7, 5, time.Minute, noon, cfg.Authorities[intermediate].ID, 1, r.ID() + " root active ", false}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("set (-want +got):\n%s", diff)
	}
	if _, ok := set.Authority("0123456789abcdef"); ok {
		t.Error("an authority that is not there was found")
	}
	if set.Issuer().ParentID() != r.ID() || !set.Issuer().CanSign() {
		t.Error("the issuer is not the root's or cannot sign")
	}
}

func TestOnlyPublishedRootsAreInTheBundle(t *testing.T) {
	for state, published := range map[ca.State]bool{
		ca.StatePrepared: true, ca.StateActive: true, ca.StateRetiring: true, ca.StateTainted: true,
		ca.StateRetired: false, ca.StateRevoked: false,
	} {
		t.Run(string(state), func(t *testing.T) {
			cfg := catest.New(t, catest.Options{Now: noon}).SetConfig()
			other := catest.New(t, catest.Options{Now: noon}).SetConfig().Authorities[root]
			other.State = state
			cfg.Authorities = append(cfg.Authorities, other)
			set, err := ca.NewSet(cfg, noon)
			check(t, err)
			if got := len(set.Roots()) == 2; got != published {
				t.Errorf("%d roots are published", len(set.Roots()))
			}
		})
	}
}

func TestOwnsKeyOfEveryAuthority(t *testing.T) {
	cfg := catest.New(t, catest.Options{Now: noon}).SetConfig()
	cfg.Authorities = append(cfg.Authorities, siblingIn(t, cfg, ca.StateRevoked))
	set, err := ca.NewSet(cfg, noon)
	check(t, err)
	owns := func(key crypto.Signer) bool {
		hash, err := ca.HashPublicKey(key.Public())
		check(t, err)
		return set.OwnsKey(hash)
	}
	for _, a := range cfg.Authorities {
		if !owns(a.Signer) {
			t.Errorf("the key of the %s %s is not owned", a.State, a.Role)
		}
	}
	if owns(catest.Key(t, ca.ECDSAP256)) {
		t.Error("a foreign key is owned")
	}
}

func TestCovers(t *testing.T) {
	set := catest.New(t, catest.Options{Now: noon, Lifetime: 10 * time.Hour}).Set()
	for name, tt := range map[string]struct {
		lifetime time.Duration
		now      time.Time
		ok       bool
	}{
		"a leaf that ends with its issuer": {10 * time.Hour, noon, true},
		"one second too long":              {10*time.Hour + time.Second, noon, false},
		"late":                             {time.Hour, noon.Add(9 * time.Hour), true},
		"too late":                         {time.Hour, noon.Add(9*time.Hour + time.Second), false},
		"before the issuer begins":         {time.Hour, noon.Add(-time.Hour), false},
		"no lifetime":                      {0, noon, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := set.Covers(tt.lifetime, tt.now); (err == nil) != tt.ok {
				t.Errorf("Covers = %v, want %t", err, tt.ok)
			}
		})
	}
}
