package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestChainsWithACrossCertificate(t *testing.T) {
	old, next := newPKI("example.org"), newPKI("example.org")
	crossed := next.crossed(old)
	for name, test := range map[string]struct {
		holder, presenter *pki
		holds             []*pki
		refused           bool
	}{
		"the old root alone, and a crossed chain":  {holder: old, presenter: crossed, holds: []*pki{old}},
		"the new root alone, and a crossed chain":  {holder: crossed, presenter: crossed, holds: []*pki{next}},
		"both roots, and a crossed chain":          {holder: old, presenter: crossed, holds: []*pki{old, next}},
		"both in the other order":                  {holder: crossed, presenter: crossed, holds: []*pki{next, old}},
		"both roots, and an old chain":             {holder: crossed, presenter: old, holds: []*pki{old, next}},
		"both roots, and a plain new chain":        {holder: crossed, presenter: next, holds: []*pki{old, next}},
		"the old root alone, and a plain chain":    {holder: old, presenter: next, holds: []*pki{old}, refused: true},
		"the new root alone, and an old chain":     {holder: crossed, presenter: old, holds: []*pki{next}, refused: true},
		"another root, and a chain crossed by old": {holder: old, presenter: crossed, holds: []*pki{newPKI("example.org")}, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			holder := fixed(rootsOf(1, test.holds...), test.holder.identity(leafTemplate("spiffe://example.org/web", time.Hour)))
			everything := rootsOf(1, old, next)
			presenter := fixed(everything, test.presenter.identity(leafTemplate("spiffe://example.org/peer", time.Hour)))
			_, clientErr, serverErr := handshake(named(presenter.ClientTLS(anyone)), holder.ServerTLS(anyone))
			if (serverErr != nil) != test.refused || !test.refused && clientErr != nil {
				t.Errorf("presented by the client: %v, %v", clientErr, serverErr)
			}
			state, clientErr, serverErr := handshake(named(holder.ClientTLS(anyone)), presenter.ServerTLS(anyone))
			if (clientErr != nil) != test.refused || !test.refused && serverErr != nil {
				t.Errorf("presented by the server: %v, %v", clientErr, serverErr)
			}
			if sent := len(state.PeerCertificates); !test.refused && sent != len(presenter.snapshot.Load().certificate.Certificate) {
				t.Errorf("%d certificates were sent", sent)
			}
		})
	}
}

func TestAnIssuedChainWithACrossCertificateIsPresented(t *testing.T) {
	inWorld(t, func(w *world) {
		old := *w.pki
		next := newPKI("example.org")
		w.change(func() { *w.pki = *next.crossed(&old) })
		s := w.open(func(c *Config) { c.TrustBundle = old.bundle() }) // and the answer brings no other
		cert, err := s.Certificate()
		if err != nil || len(cert.Certificate) != 3 {
			t.Fatalf("certificate: %v, %v", cert, err)
		}
		if st := s.Status(); st.Issuer != authorityID(next.issuer) || !s.Roots()[0].Equal(old.root) {
			t.Errorf("status: %+v", st)
		}
	})
}

// rotation is two workloads that never cease to shake hands while the root is replaced.
type rotation struct {
	*world
	a, b       *Source
	handshakes int
	failures   []string
}

const oldHost = "old.test:8443" // does not know the trust poll

// TestARotationOfTheRootFailsNoHandshake: prepare, activate with a cross-certificate and
// retire, where each workload learns of a step at once or with its next certificate.
func TestARotationOfTheRootFailsNoHandshake(t *testing.T) {
	for name, test := range map[string]struct {
		hostA, hostB string
		uncrossed    bool // and the proof that failures would be seen
	}{
		"both follow":                    {hostA: pandoHost, hostB: pandoHost},
		"one never follows":              {hostA: pandoHost, hostB: oldHost},
		"the other never follows":        {hostA: oldHost, hostB: pandoHost},
		"neither follows":                {hostA: oldHost, hostB: oldHost},
		"without the cross-certificate":  {hostA: pandoHost, hostB: oldHost, uncrossed: true},
		"without it, neither of the two": {hostA: oldHost, hostB: oldHost, uncrossed: true},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				stop := w.serve(w.net.listen(oldHost), serverID)
				defer stop()
				w.oldHost, w.strict = oldHost, true
				r := &rotation{world: w, a: w.openAt(test.hostA, "jwt.a")}
				pass(7 * time.Minute) // the two are not in step
				r.b = w.openAt(test.hostB, "jwt.b")
				r.rotate(test.uncrossed)
				if test.uncrossed {
					if len(r.failures) == 0 {
						t.Error("no handshake failed")
					}
					return
				}
				if len(r.failures) > 0 {
					t.Fatalf("%d of %d handshakes failed, the first: %s", len(r.failures), r.handshakes, r.failures[0])
				}
				if r.handshakes < 800 {
					t.Errorf("%d handshakes", r.handshakes)
				}
			})
		})
	}
}

// openAt opens a source at one host.
func (w *world) openAt(host, jwt string) *Source {
	return w.open(func(c *Config) {
		c.Servers = []string{"https://" + host}
		c.JoinToken, c.JWT = "", func(context.Context) (string, error) { return jwt, nil }
	})
}

func (r *rotation) rotate(uncrossed bool) {
	old := *r.pki
	next := newPKI("example.org")
	crossed := next.crossed(&old)
	if uncrossed {
		crossed = next
	}
	r.run(5 * time.Minute)

	r.publish(8, old.root, next.root) // prepared
	r.run(5 * time.Minute)            // less than it takes everybody to renew

	r.change(func() { *r.pki = *crossed }) // active: new chains, the same bundle
	r.run(70 * time.Minute)                // until the last leaf under the old root is gone
	if uncrossed {
		return
	}

	r.change(func() { *r.pki = *next; r.serveWith(serverID, next) })
	r.publish(9, next.root) // retired
	r.run(70 * time.Minute)
	for name, s := range map[string]*Source{"a": r.a, "b": r.b} {
		st := s.Status()
		if st.BundleSequence != 9 || len(s.Roots()) != 1 || !s.Roots()[0].Equal(next.root) || st.LastError != nil || st.Issuer != authorityID(next.issuer) {
			r.t.Errorf("%s in the end: %+v", name, st)
		}
	}
}

// run lets d pass under handshakes in both directions, from the very instant of a change.
func (r *rotation) run(d time.Duration) {
	synctest.Wait()
	for end := time.Now().Add(d); time.Now().Before(end); pass(20 * time.Second) {
		r.shake("a to b", r.a.ClientTLS(AuthorizeID(r.b.ID())), r.b.ServerTLS(AuthorizeID(r.a.ID())))
		r.shake("b to a", r.b.ClientTLS(AuthorizeID(r.a.ID())), r.a.ServerTLS(AuthorizeID(r.b.ID())))
	}
}

func (r *rotation) shake(direction string, client, server *tls.Config) {
	r.handshakes++
	here, there := net.Pipe()
	if _, clientErr, serverErr := handshakeOver(here, there, named(client), server); clientErr != nil || serverErr != nil {
		r.failures = append(r.failures, fmt.Sprintf("%s at %s, bundles %d and %d: %v; %v", direction, time.Now().Format("15:04:05"),
			r.a.Status().BundleSequence, r.b.Status().BundleSequence, clientErr, serverErr))
	}
}

// TestAWorkloadThatWasAwayCatchesUp: it slept through prepare and activate, and renews
// with a server that only the new root vouches for but for the cross-certificate.
func TestAWorkloadThatWasAwayCatchesUp(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(nil)
		w.stop()
		pass(20 * time.Minute)
		old := *w.pki
		next := newPKI("example.org")
		w.change(func() {
			*w.pki = *next.crossed(&old)
			w.sequence, w.roots = 8, []*x509.Certificate{old.root, next.root}
		})
		w.up()
		pass(maxBackoff + time.Second)
		if st := s.Status(); st.BundleSequence != 8 || !st.Following || st.Issuer != authorityID(old.issuer) {
			t.Errorf("status: %+v", st)
		}
		pass(time.Until(s.Status().RenewalDue))
		if st := s.Status(); st.LastError != nil || st.Issuer != authorityID(next.issuer) {
			t.Errorf("status: %+v", st)
		}
	})
}
