package client

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// nonsense is what a server may answer instead of a good certificate, by what is wrong.
// Each answers the call, or changes the good answer and leaves it to the fake.
func nonsense() map[string]struct {
	hook func(w *world, rw http.ResponseWriter, c fakeCall)
	want string // in the error
} {
	type badAnswer = struct {
		hook func(w *world, rw http.ResponseWriter, c fakeCall)
		want string
	}
	body := func(status int, text string) func(*world, http.ResponseWriter, fakeCall) {
		return func(_ *world, rw http.ResponseWriter, _ fakeCall) {
			rw.WriteHeader(status)
			fmt.Fprint(rw, text)
		}
	}
	edited := func(edit func(w *world, a *answer)) func(*world, http.ResponseWriter, fakeCall) {
		return func(w *world, rw http.ResponseWriter, c fakeCall) {
			a := w.issue(c)
			edit(w, &a)
			writeAnswer(rw, a)
		}
	}
	leaf := func(edit func(w *world, l *x509.Certificate)) func(*world, http.ResponseWriter, fakeCall) {
		return func(w *world, rw http.ResponseWriter, c fakeCall) {
			template := leafTemplate(w.id, w.lifetime)
			edit(w, template)
			writeAnswer(rw, w.answerWith(w.sign(template, c.csr.PublicKey)))
		}
	}
	return map[string]badAnswer{
		"not JSON":                 {body(201, "<html>welcome"), "decode answer"},
		"nothing":                  {body(201, ""), "decode answer"},
		"JSON null":                {body(201, "null"), "trust domain"},
		"another shape":            {body(201, `{"bundle":[]}`), "decode answer"},
		"a megabyte and more":      {body(201, strings.Repeat(" ", maxAnswer+1)), "octets"},
		"a failure of its own":     {body(500, "oops"), "answered 500"},
		"a proxy's failure":        {body(502, `"bad gateway"`), "answered 502"},
		"an unexpected success":    {body(204, ""), "answered 204"},
		"a redirect":               {redirect, "answered 307"},
		"another bundle's domain":  {edited(func(_ *world, a *answer) { a.Bundle.TrustDomain = "evil.org" }), `"evil.org"`},
		"a bundle without roots":   {edited(func(_ *world, a *answer) { a.Bundle.Sequence, a.Bundle.Roots = 99, "" }), "no certificate in PEM"},
		"a root that is no CA":     {edited(func(w *world, a *answer) { a.Bundle.Sequence++; a.Bundle.Roots = leafPEM(w, "example.org") }), "not a CA"},
		"a root of another domain": {edited(func(w *world, a *answer) { a.Bundle.Sequence++; a.Bundle.Roots += string(newPKI("evil.org").bundle()) }), "evil.org"},
		"a bundle without its root": {edited(func(w *world, a *answer) {
			a.Bundle.Sequence++
			a.Bundle.Roots = string(newPKI("example.org").bundle())
		}), "unknown authority"},
		"a damaged root": {edited(func(_ *world, a *answer) { a.Bundle.Sequence++; a.Bundle.Roots += "-----BEGIN CERTIFICATE-----\nAAAA" }), "damaged"},
		"no chain":       {edited(func(_ *world, a *answer) { a.CertificateChain = "" }), "no certificate in PEM"},
		"a private key as chain": {edited(func(_ *world, a *answer) {
			a.CertificateChain = "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"
		}), "PRIVATE KEY"},
		"a chain of eleven":          {edited(func(_ *world, a *answer) { a.CertificateChain = strings.Repeat(a.CertificateChain, 6) }), "more than 10"},
		"a chain without issuer":     {edited(func(_ *world, a *answer) { a.CertificateChain, _, _ = strings.Cut(a.CertificateChain, "\n-----BEGIN") }), "unknown authority"},
		"the issuer as leaf":         {edited(func(w *world, a *answer) { a.CertificateChain = encodePEM(w.issuer) }), "another key"},
		"a leaf of another key":      {edited(func(w *world, a *answer) { a.CertificateChain = leafPEM(w, "example.org/web") }), "another key"},
		"another identity":           {leaf(func(_ *world, l *x509.Certificate) { l.URIs[0].Path = "/admin" }), "want spiffe://example.org/web"},
		"another trust domain":       {leaf(func(_ *world, l *x509.Certificate) { l.URIs[0].Host = "evil.org" }), "not in trust domain"},
		"an authority's identity":    {leaf(func(_ *world, l *x509.Certificate) { l.URIs[0].Path = "" }), "ID of an authority"},
		"two identities":             {leaf(func(_ *world, l *x509.Certificate) { l.URIs = append(l.URIs, l.URIs[0]) }), "2 URI SANs"},
		"no identity":                {leaf(func(_ *world, l *x509.Certificate) { l.URIs, l.DNSNames = nil, []string{"web"} }), "0 URI SANs"},
		"an identity that is no ID":  {leaf(func(_ *world, l *x509.Certificate) { l.URIs[0] = &url.URL{Scheme: "https", Host: "example.org"} }), "does not begin with spiffe"},
		"a CA certificate":           {leaf(func(_ *world, l *x509.Certificate) { l.IsCA, l.BasicConstraintsValid = true, true }), "that of a CA"},
		"a leaf that may sign certs": {leaf(func(_ *world, l *x509.Certificate) { l.KeyUsage |= x509.KeyUsageCRLSign }), "key usage of a CA"},
		"a leaf that may not sign":   {leaf(func(_ *world, l *x509.Certificate) { l.KeyUsage = x509.KeyUsageKeyEncipherment }), "digitalSignature"},
		"an expired certificate":     {leaf(func(_ *world, l *x509.Certificate) { l.NotAfter = time.Now().Add(-time.Second) }), "expired"},
		"one of the far future":      {leaf(func(_ *world, l *x509.Certificate) { l.NotBefore = time.Now().Add(maxAhead + time.Second) }), "not yet valid"},
		"one of an unknown root": {func(w *world, rw http.ResponseWriter, c fakeCall) {
			writeAnswer(rw, w.answerWith(newPKI("example.org").sign(leafTemplate(w.id, w.lifetime), c.csr.PublicKey)))
		}, "unknown authority"},
	}
}

func writeAnswer(rw http.ResponseWriter, a answer) {
	rw.WriteHeader(http.StatusCreated)
	rw.Write(must(json.Marshal(a)))
}

func redirect(_ *world, rw http.ResponseWriter, _ fakeCall) {
	rw.Header().Set("Location", "https://evil.test/v1/certificates")
	rw.WriteHeader(http.StatusTemporaryRedirect)
}

func leafPEM(w *world, id string) string {
	return encodePEM(w.sign(leafTemplate("spiffe://"+id, w.lifetime), newTestKey().Public())...)
}

func TestNonsenseAtRenewalChangesNothing(t *testing.T) {
	for name, test := range nonsense() {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.hook = func(n int, rw http.ResponseWriter, c fakeCall) bool {
					if n == 2 {
						test.hook(w, rw, c)
					}
					return n == 2
				}
				s := w.open(nil)
				before, held := s.Status(), s.snapshot.Load()
				pass(time.Until(before.RenewalDue))
				st := s.Status()
				if s.snapshot.Load() != held || st.Failures != 1 || st.LastError == nil || !strings.Contains(st.LastError.Error(), test.want) {
					t.Fatalf("status: %+v, want an error with %q", st, test.want)
				}
				pass(baseBackoff)
				if st := s.Status(); st.Serial == before.Serial || st.LastError != nil {
					t.Errorf("status after a good answer: %+v", st)
				}
				for _, address := range w.net.addresses() {
					if address != pandoHost {
						t.Errorf("dialled %s", address)
					}
				}
			})
		})
	}
}

func TestNonsenseAtTheStartIsNoIdentity(t *testing.T) {
	for name, test := range nonsense() {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.hook = func(_ int, rw http.ResponseWriter, c fakeCall) bool {
					test.hook(w, rw, c)
					return true
				}
				// At first contact the configured roots have no sequence, so that a bundle
				// is refused later than one that is merely not newer.
				_, err := w.tryOpen(func(c *Config) { c.SPIFFEID = w.id })
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v, want one with %q", err, test.want)
				}
			})
		})
	}
}

func TestASlowClockDoesNotRefuseAFreshCertificate(t *testing.T) {
	inWorld(t, func(w *world) {
		w.hook = func(_ int, rw http.ResponseWriter, c fakeCall) bool {
			template := leafTemplate(w.id, w.lifetime)
			template.NotBefore = time.Now().Add(2 * time.Minute).Truncate(time.Second)
			writeAnswer(rw, w.answerWith(w.sign(template, c.csr.PublicKey)))
			return true
		}
		w.open(nil)
	})
}

func TestBundles(t *testing.T) {
	other := newPKI("example.org")
	for name, test := range map[string]struct {
		sequence uint64
		roots    int
		want     uint64
		held     int
	}{
		"a higher sequence is adopted":        {sequence: 8, roots: 2, want: 8, held: 2},
		"a far higher one too":                {sequence: 1 << 63, roots: 2, want: 1 << 63, held: 2},
		"the same sequence changes nothing":   {sequence: 7, roots: 2, want: 7, held: 1},
		"the sequence does not go backwards":  {sequence: 6, roots: 2, want: 7, held: 1},
		"a sequence of zero does not, either": {sequence: 0, roots: 2, want: 7, held: 1},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.old = true // renewal alone
				s := w.open(nil)
				before := s.Status()
				w.mu.Lock()
				w.sequence = test.sequence
				w.roots = []*x509.Certificate{w.root, other.root}[:test.roots]
				w.mu.Unlock()
				pass(time.Until(before.RenewalDue))
				st := s.Status()
				if st.Serial == before.Serial || st.BundleSequence != test.want || len(s.Roots()) != test.held {
					t.Errorf("status: %+v with %d roots", st, len(s.Roots()))
				}
			})
		})
	}
}

func TestARotationOfTheRootIsFollowedByRenewals(t *testing.T) {
	inWorld(t, func(w *world) {
		w.old = true
		s := w.open(nil)
		old := *w.pki
		next := newPKI("example.org")
		w.mu.Lock()
		w.roots, w.sequence = []*x509.Certificate{old.root, next.root}, 8
		w.mu.Unlock()
		pass(time.Until(s.Status().RenewalDue))

		// The new root signs everything, the CA's own certificate included.
		w.stop()
		*w.pki = *next
		w.mu.Lock()
		w.roots, w.sequence = []*x509.Certificate{next.root}, 9
		w.mu.Unlock()
		w.up()
		issuer := s.Status().Issuer
		pass(time.Until(s.Status().RenewalDue))
		st := s.Status()
		if st.LastError != nil || st.BundleSequence != 9 || st.Issuer == issuer || !s.Roots()[0].Equal(next.root) {
			t.Errorf("status: %+v", st)
		}
	})
}
