package ca_test

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/spiffeid"
)

// TestEveryVerifierAcceptsDuringARotation issues at each phase of a root rotation, and asks Go
// and openssl, as verifiers that hold the old root, the new one, or both.
func TestEveryVerifierAcceptsDuringARotation(t *testing.T) {
	before := catest.New(t, catest.Options{Now: noon})
	prepared := before.Prepare(t)
	rotating := prepared.Activate(t)
	retired := rotating.Retire(t)
	oldRoot, newRoot := prepared.Set().Roots()[0], prepared.Set().Roots()[1]
	verifiers := map[string][]*x509.Certificate{
		"the old root": {oldRoot}, "the new root": {newRoot}, "both": {oldRoot, newRoot}, "both, the new one first": {newRoot, oldRoot},
	}
	for phase, tt := range map[string]struct {
		pki     *catest.CA
		chain   int      // certificates
		refused []string // by verifiers that hold only this
	}{
		"before":            {before, 2, []string{"the new root"}},
		"while it prepares": {prepared, 2, []string{"the new root"}},
		"while it retires":  {rotating, 3, nil},
		"afterwards":        {retired, 2, []string{"the old root"}},
	} {
		cert, err := tt.pki.Set().Issuer().Sign(workload(t, catest.Key(t, ca.ECDSAP256).Public()))
		check(t, err)
		if len(cert.Chain) != tt.chain {
			t.Errorf("%s: the chain has %d certificates, want %d", phase, len(cert.Chain), tt.chain)
		}
		for holder, roots := range verifiers {
			t.Run(phase+", holding "+holder, func(t *testing.T) {
				refused := len(tt.refused) > 0 && tt.refused[0] == holder
				if err := goVerify(cert.Chain, roots); (err != nil) != refused {
					t.Errorf("Go: %v, want an error: %t", err, refused)
				}
				if out, err := opensslVerify(t, cert.Chain, roots); (err != nil) != refused {
					t.Errorf("openssl: %v, want an error: %t\n%s", err, refused, out)
				}
			})
		}
	}
}

// TestChainOfARotationOutlivesIt is a leaf that was issued while the old root was retiring, and
// is presented when that root has left the bundle.
func TestChainOfARotationOutlivesIt(t *testing.T) {
	_, rotating := catest.NewRotating(t, catest.Options{Now: noon})
	peer := rotating.Issue(t, "spiffe://example.org/web", catest.Leaf{})
	retired := rotating.Retire(t)
	check(t, goVerify(peer.Certificate, retired.Set().Roots()))
	if out, err := opensslVerify(t, peer.Certificate, retired.Set().Roots()); err != nil {
		t.Errorf("openssl: %v\n%s", err, out)
	}
}

// TestPeersDuringARotation has replicas of every generation meet peers of every generation.
func TestPeersDuringARotation(t *testing.T) {
	before := catest.New(t, catest.Options{Now: noon})
	prepared := before.Prepare(t)
	rotating := prepared.Activate(t)
	for name, replica := range map[string]*catest.CA{"before": before, "prepared": prepared, "rotating": rotating} {
		for of, issuer := range map[string]*catest.CA{"before": before, "rotating": rotating} {
			peer := issuer.Issue(t, "spiffe://example.org/web", catest.Leaf{})
			intermediates := make([]*x509.Certificate, 0, 2)
			for _, der := range peer.Certificate[1:] {
				cert, err := x509.ParseCertificate(der)
				check(t, err)
				intermediates = append(intermediates, cert)
			}
			if _, err := replica.Set().VerifyPeer(peer.Leaf, intermediates, noon); err != nil {
				t.Errorf("replica of %s, peer of %s: %v", name, of, err)
			}
		}
	}
}

// threeRoots is a PKI whose active root has followed two others that are still in use, with these
// states: R0, R1 and R2, each certified by the one before.
func threeRoots(t *testing.T, states ...ca.State) *ca.Set {
	t.Helper()
	_, rotating := catest.NewRotating(t, catest.Options{Now: noon, RootKey: ca.ECDSAP256})
	cfg := rotating.Prepare(t).Activate(t).SetConfig()
	n := 0
	for i := range cfg.Authorities {
		if a := &cfg.Authorities[i]; a.Role == ca.RoleRoot && n < len(states) {
			a.State = states[n]
			n++
		}
	}
	set, err := ca.NewSet(cfg, noon)
	check(t, err)
	return set
}

// TestEveryVerifierAcceptsWhileSeveralRootsAreInUse: chains lead to every root that a live verifier
// may hold alone, whether it is retiring or tainted, and to none that is revoked.
func TestEveryVerifierAcceptsWhileSeveralRootsAreInUse(t *testing.T) {
	const r0, r1, r2 = 0, 1, 2
	for name, tt := range map[string]struct {
		states  []ca.State // of R0 and R1
		chain   int        // certificates
		accepts []int      // by verifiers that hold only this one
	}{
		"the first retires, the second is tainted": {[]ca.State{ca.StateRetiring, ca.StateTainted}, 4, []int{r0, r1, r2}},
		"the first is tainted, the second retires": {[]ca.State{ca.StateTainted, ca.StateRetiring}, 4, []int{r0, r1, r2}},
		"both are tainted":                         {[]ca.State{ca.StateTainted, ca.StateTainted}, 4, []int{r0, r1, r2}},
		"the first is retired":                     {[]ca.State{ca.StateRetired, ca.StateTainted}, 3, []int{r1, r2}},
		"the first is revoked":                     {[]ca.State{ca.StateRevoked, ca.StateTainted}, 3, []int{r1, r2}},
		"the second is revoked":                    {[]ca.State{ca.StateRetired, ca.StateRevoked}, 2, []int{r2}},
	} {
		t.Run(name, func(t *testing.T) {
			set := threeRoots(t, tt.states...)
			var roots []*x509.Certificate
			for _, a := range set.Authorities() {
				if a.Role() == ca.RoleRoot {
					roots = append(roots, a.Certificate())
				}
			}
			cert, err := set.Issuer().Sign(workload(t, catest.Key(t, ca.ECDSAP256).Public()))
			check(t, err)
			if len(cert.Chain) != tt.chain {
				t.Errorf("the chain has %d certificates, want %d", len(cert.Chain), tt.chain)
			}
			for holds, anchors := range map[int][]*x509.Certificate{r0: roots[:1], r1: roots[1:2], r2: roots[2:], -1: set.Roots()} {
				accepts := holds < 0 || slices.Contains(tt.accepts, holds)
				if err := goVerify(cert.Chain, anchors); (err == nil) != accepts {
					t.Errorf("Go, holding R%d: %v, want it to accept: %t", holds, err, accepts)
				}
				if out, err := opensslVerify(t, cert.Chain, anchors); (err == nil) != accepts {
					t.Errorf("openssl, holding R%d: %v, want it to accept: %t\n%s", holds, err, accepts, out)
				}
			}
		})
	}
}

// TestChainsAreBounded: however many roots are in use, a handshake carries MaxCross cross-certificates.
func TestChainsAreBounded(t *testing.T) {
	pki := catest.New(t, catest.Options{Now: noon, RootKey: ca.ECDSAP256})
	for range ca.MaxCross + 2 {
		pki = pki.Prepare(t).Activate(t)
	}
	if got := len(pki.Set().Issuer().Chain()); got != 1+ca.MaxCross {
		t.Errorf("the chain has %d certificates above the leaf, want %d", got, 1+ca.MaxCross)
	}
}

// TestAPeerTwoRootsAhead meets a replica that has not followed for two rotations, and one whose
// cross-certificates are not enough.
func TestAPeerTwoRootsAhead(t *testing.T) {
	before := catest.New(t, catest.Options{Now: noon, RootKey: ca.ECDSAP256})
	ahead := before.Prepare(t).Activate(t).Prepare(t).Activate(t)
	peer := ahead.Issue(t, "spiffe://example.org/web", catest.Leaf{})
	var above []*x509.Certificate
	for _, der := range peer.Certificate[1:] {
		cert, err := x509.ParseCertificate(der)
		check(t, err)
		above = append(above, cert)
	}
	_, err := before.Set().VerifyPeer(peer.Leaf, above, noon)
	check(t, err)
	slices.Reverse(above) // order is nobody's promise
	_, err = before.Set().VerifyPeer(peer.Leaf, above, noon)
	check(t, err)
	for i := range above {
		if _, err := before.Set().VerifyPeer(peer.Leaf, slices.Delete(slices.Clone(above), i, i+1), noon); err == nil {
			t.Errorf("it is accepted without certificate %d of its chain", i)
		}
	}
	if _, err := before.Set().VerifyPeer(peer.Leaf, append(above, above...), noon); err == nil {
		t.Error("a chain of six is looked at")
	}
}

func TestRootsDuringARotation(t *testing.T) {
	before := catest.New(t, catest.Options{Now: noon})
	prepared := before.Prepare(t)
	rotating := prepared.Activate(t)
	retired := rotating.Retire(t)
	type bundle struct {
		Sequence uint64
		Roots    []string
	}
	of := func(pki *catest.CA) bundle {
		b := bundle{Sequence: pki.Set().Sequence()}
		for _, root := range pki.Set().Roots() {
			b.Roots = append(b.Roots, ca.AuthorityID(root))
		}
		return b
	}
	old, next := of(prepared).Roots[0], of(prepared).Roots[1]
	want := []bundle{{1, []string{old}}, {2, []string{old, next}}, {2, []string{old, next}}, {3, []string{next}}}
	if diff := cmp.Diff(want, []bundle{of(before), of(prepared), of(rotating), of(retired)}); diff != "" {
		t.Errorf("bundles (-want +got):\n%s", diff)
	}
}

func TestCrossSignRefuses(t *testing.T) {
	prepared := catest.New(t, catest.Options{Now: noon}).Prepare(t)
	oldRoot, newRoot := prepared.Set().Roots()[0], prepared.Set().Roots()[1]
	signer := prepared.SetConfig().Authorities[root].Signer
	leaf := prepared.Issue(t, "spiffe://example.org/web", catest.Leaf{})
	for name, spoil := range map[string]func(*ca.CrossConfig){
		"no trust domain":            func(c *ca.CrossConfig) { c.TrustDomain = spiffeid.TrustDomain{} },
		"another trust domain":       func(c *ca.CrossConfig) { c.TrustDomain = parseID(t, "spiffe://example.com").TrustDomain() },
		"no root":                    func(c *ca.CrossConfig) { c.Root = nil },
		"no parent":                  func(c *ca.CrossConfig) { c.Parent = nil },
		"no signer":                  func(c *ca.CrossConfig) { c.ParentSigner = nil },
		"a leaf as root":             func(c *ca.CrossConfig) { c.Root = leaf.Leaf },
		"a leaf as parent":           func(c *ca.CrossConfig) { c.Parent = leaf.Leaf },
		"the same root twice":        func(c *ca.CrossConfig) { c.Root = c.Parent },
		"another parent's key":       func(c *ca.CrossConfig) { c.ParentSigner = catest.Key(t, ca.ECDSAP384) },
		"a faulty signer":            func(c *ca.CrossConfig) { c.ParentSigner = faultySigner{signer, anotherKeys(t, ca.ECDSAP384)} },
		"an end after that of both":  func(c *ca.CrossConfig) { c.NotAfter = oldRoot.NotAfter.Add(time.Second) },
		"an end before it begins":    func(c *ca.CrossConfig) { c.NotAfter = newRoot.NotBefore },
		"a parent that ended before": func(c *ca.CrossConfig) { c.Parent, c.ParentSigner = endedRoot(t) },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := ca.CrossConfig{TrustDomain: prepared.Set().TrustDomain(), Root: newRoot, Parent: oldRoot, ParentSigner: signer}
			spoil(&cfg)
			if cert, err := ca.CrossSign(cfg); err == nil {
				t.Errorf("made %s", cert.Subject)
			}
		})
	}
}

// endedRoot is a root that ended before noon.
func endedRoot(t *testing.T) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	key := catest.Key(t, ca.ECDSAP256)
	cert, err := ca.NewRoot(ca.RootConfig{
		TrustDomain: parseID(t, "spiffe://example.org").TrustDomain(), Signer: key,
		NotBefore: noon.Add(-2 * time.Hour), NotAfter: noon.Add(-time.Hour),
	})
	check(t, err)
	return cert, key
}

func TestNewSetRefusesCrossCertificates(t *testing.T) {
	const newRoot = 2 // its place in the set of a rotating PKI
	other := catest.New(t, catest.Options{Now: noon}).Prepare(t).SetConfig().Authorities[newRoot]
	for name, tt := range map[string]struct {
		spoil func(*testing.T, []ca.AuthorityConfig)
		want  string
	}{
		"without a parent":           {func(_ *testing.T, a []ca.AuthorityConfig) { a[newRoot].CrossParentID = "" }, "is missing"},
		"that is not there":          {func(_ *testing.T, a []ca.AuthorityConfig) { a[newRoot].CrossCertificate = nil }, "is missing"},
		"that is none":               {func(_ *testing.T, a []ca.AuthorityConfig) { a[newRoot].CrossCertificate = []byte("x") }, "x509"},
		"by itself":                  {func(_ *testing.T, a []ca.AuthorityConfig) { a[newRoot].CrossParentID = a[newRoot].ID }, "own cross parent"},
		"by an intermediate":         {func(_ *testing.T, a []ca.AuthorityConfig) { a[newRoot].CrossParentID = a[intermediate].ID }, "not a root"},
		"for another root":           {func(_ *testing.T, a []ca.AuthorityConfig) { a[newRoot].CrossCertificate = other.CrossCertificate }, "another key"},
		"on an intermediate":         {func(_ *testing.T, a []ca.AuthorityConfig) { a[intermediate].CrossParentID = a[root].ID }, "intermediate has"},
		"that the root signs itself": {func(_ *testing.T, a []ca.AuthorityConfig) { a[newRoot].CrossCertificate = a[newRoot].Certificate }, "was not signed by"},
	} {
		t.Run(name, func(t *testing.T) {
			_, rotating := catest.NewRotating(t, catest.Options{Now: noon})
			cfg := rotating.SetConfig()
			tt.spoil(t, cfg.Authorities)
			if _, err := ca.NewSet(cfg, noon); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one about %q", err, tt.want)
			}
		})
	}
}

// TestCrossParentMayBeGone is the set after the row of the old root was dropped.
func TestCrossParentMayBeGone(t *testing.T) {
	_, rotating := catest.NewRotating(t, catest.Options{Now: noon})
	cfg := rotating.Retire(t).SetConfig()
	cfg.Authorities = cfg.Authorities[2:]
	set, err := ca.NewSet(cfg, noon)
	check(t, err)
	if len(set.Issuer().Chain()) != 1 {
		t.Error("the chain leads to a root that is gone")
	}
}

func goVerify(chain [][]byte, roots []*x509.Certificate) error {
	pool, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, root := range roots {
		pool.AddCert(root)
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return err
	}
	for _, der := range chain[1:] {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		intermediates.AddCert(cert)
	}
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots: pool, Intermediates: intermediates, CurrentTime: noon,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	return err
}

func opensslVerify(t *testing.T, chain [][]byte, roots []*x509.Certificate) (string, error) {
	t.Helper()
	dir := t.TempDir()
	file := func(name string, certs ...[]byte) string {
		var text []byte
		for _, der := range certs {
			text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
		}
		path := filepath.Join(dir, name)
		check(t, os.WriteFile(path, text, 0o600))
		return path
	}
	anchors := make([][]byte, len(roots))
	for i, root := range roots {
		anchors[i] = root.Raw
	}
	out, err := exec.Command("openssl", "verify", "-x509_strict", "-check_ss_sig", "-attime", strconv.FormatInt(noon.Unix(), 10),
		"-purpose", "sslserver", "-CAfile", file("roots.pem", anchors...),
		"-untrusted", file("chain.pem", chain[1:]...), file("leaf.pem", chain[0])).CombinedOutput()
	return string(out), err
}
