package client

import (
	"crypto/x509"
	"errors"
	"net/http"
	"testing"
	"time"
)

func TestACAThatWasMadeAnew(t *testing.T) {
	for name, test := range map[string]struct {
		configured bool // whether the operator has configured the new roots
		wait       time.Duration
		usesCached bool
		fallsBack  bool
	}{
		"counts when it is configured":                           {configured: true},
		"does not count while the cached identity is alive":      {usesCached: true},
		"counts when the cached identity is dead":                {wait: 2 * time.Hour, fallsBack: true},
		"counts when it is configured, and the identity is dead": {configured: true, wait: 2 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			edit, _ := cached(t)
			inWorld(t, func(w *world) {
				// The CA has rotated from the configured root to another, at sequence 9.
				original := *w.pki
				next := newPKI("example.org")
				w.change(func() { w.sequence, w.roots = 9, []*x509.Certificate{next.root}; *w.pki = *next })
				var book logbook
				edit = both(edit, withJWT, func(c *Config) { c.TrustBundle, c.Log = original.bundle(), book.logger() })
				w.change(func() { w.serveWith(serverID, &original) })
				s := w.open(edit)
				if st := s.Status(); st.BundleSequence != 9 {
					t.Fatalf("status: %+v", st)
				}
				before := s.Status().Serial
				w.change(func() { w.serveWith(serverID, next) })
				for range 3 {
					w.revoke(next.sign(leafTemplate("spiffe://example.org/x", 24*time.Hour), newTestKey().Public())[0])
				}
				pass(time.Minute)
				s.Close()
				polls := len(w.polls)
				// It is restored from before that, or made anew.
				restored := original
				if test.configured {
					restored = *newPKI("example.org")
					edit = both(edit, func(c *Config) { c.TrustBundle = restored.bundle() })
				}
				w.change(func() {
					*w.pki = restored
					w.sequence, w.roots = 3, []*x509.Certificate{restored.root}
					w.serveWith(serverID, w.pki)
				})
				pass(test.wait)
				s = w.open(edit)
				st := s.Status()
				if used := st.Serial == before; used != test.usesCached || !used && st.BundleSequence != 3 || used && st.BundleSequence != 9 {
					t.Errorf("status: %+v", st)
				}
				pass(time.Second)
				if n := s.Status().RevokedCertificates; n != 3 {
					t.Errorf("%d are revoked", n)
				}
				// The list of another CA is another: a cursor of this one would pass over it.
				if !test.usesCached && w.polls[polls].RevokedPast != 0 {
					t.Errorf("revocations are asked for past %d", w.polls[polls].RevokedPast)
				}
				if n := book.count("given up for those of the configuration"); n != 1 && test.fallsBack || n != 0 && !test.fallsBack {
					t.Errorf("log: %s", book.text.String())
				}
			})
		})
	}
}

// TestTheConfiguredRootsAreNoWayRound has a CA that is reached under the cached roots, and
// refuses; and a configured root that is known to be revoked.
func TestTheConfiguredRootsAreNoWayRound(t *testing.T) {
	edit, _ := cached(t)
	inWorld(t, func(w *world) {
		original := *w.pki
		next := newPKI("example.org")
		edit = both(edit, withJWT, func(c *Config) { c.TrustBundle = original.bundle() })
		w.change(func() { w.sequence, w.roots = 9, []*x509.Certificate{next.root}; *w.pki = *next })
		w.change(func() { w.serveWith(serverID, &original) })
		s := w.open(edit)
		w.change(func() { w.serveWith(serverID, next) })
		w.revokeAuthority(original.root)
		pass(time.Minute)
		if st := s.Status(); st.RevocationsUpdated.IsZero() {
			t.Fatalf("status: %+v", st)
		}
		s.Close()
		pass(2 * time.Hour)
		// Somebody has got hold of the old root.
		w.change(func() { w.serveWith(serverID, &original) })
		calls := len(w.seen())
		if _, err := w.tryOpen(edit); err == nil || len(w.seen()) != calls {
			t.Errorf("error %v after %d calls", err, len(w.seen())-calls)
		}
		w.change(func() { w.serveWith(serverID, next) })
		w.hook = func(_ int, rw http.ResponseWriter, _ fakeCall) bool {
			writeProblem(rw, http.StatusForbidden, "policy_denied", "no entry")
			return true
		}
		dials := len(w.net.times())
		if _, err := w.tryOpen(edit); err == nil || len(w.seen()) != calls+1 || len(w.net.times()) != dials+1 {
			t.Errorf("error %v after %d calls and %d dials", err, len(w.seen())-calls, len(w.net.times())-dials)
		}
	})
}

func TestARevokedIdentityIsNotTakenUp(t *testing.T) {
	for name, revoke := range map[string]func(w *world, s *Source){
		"when the list says so":          func(w *world, s *Source) { w.revoke(s.snapshot.Load().leaf()) },
		"when its issuer is revoked":     func(w *world, _ *Source) { w.revokeAuthority(w.issuer) },
		"when the CA refused it as such": func(w *world, s *Source) { s.refusedAsRevoked(s.snapshot.Load(), time.Now()) },
		"when the list was too long to be kept": func(w *world, s *Source) {
			w.revoke(s.snapshot.Load().leaf())
			w.change(func() {
				for range maxKept {
					w.serials = append(w.serials, randomSerial(time.Now().Add(time.Hour)))
				}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			edit, _ := cached(t)
			inWorld(t, func(w *world) {
				s := w.open(edit)
				pass(time.Second)
				revoke(w, s)
				pass(time.Minute)
				if st := s.Status(); !st.Revoked {
					t.Fatalf("status: %+v", st)
				}
				s.Close()
				w.stop()
				var book logbook
				s = w.begin(both(edit, func(c *Config) { c.Log = book.logger() }))
				if isReady(s) || book.count(ErrRevoked.Error()) == 0 {
					t.Errorf("log: %s", book.text.String())
				}
			})
		})
	}
}

func TestWhatIsRevokedIsKept(t *testing.T) {
	edit, _ := cached(t)
	inWorld(t, func(w *world) {
		s := w.open(edit)
		bad := w.identity(leafTemplate("spiffe://example.org/bad", time.Hour))
		doomed := newPKI("example.org")
		w.publish(8, w.root, doomed.root)
		w.revoke(bad.Leaf)
		w.revokeAuthority(doomed.issuer)
		pass(time.Minute)
		before := s.Status()
		s.Close()
		w.stop()
		s = w.open(edit)
		for name, cert := range map[string]*Source{
			"certificate": fixed(rootsOf(8, w.pki, doomed), bad),
			"authority":   fixed(rootsOf(8, w.pki, doomed), doomed.identity(leafTemplate("spiffe://example.org/under", time.Hour))),
		} {
			if _, _, err := handshake(cert.ClientTLS(anyone), s.ServerTLS(anyone)); !errors.Is(err, ErrRevoked) {
				t.Errorf("%s: %v", name, err)
			}
		}
		after := s.Status()
		if after.RevocationSequence != before.RevocationSequence || after.RevocationsUpdated.IsZero() || after.RevocationsUpdated.After(before.RevocationsUpdated) {
			t.Errorf("after: %+v\nbefore: %+v", after, before)
		}
		w.up()
		pass(2 * maxBackoff)
		polls := w.polled()
		if last := polls[len(polls)-1]; last.RevokedPast != before.RevocationSequence || s.Status().RevokedCertificates != 1 {
			t.Errorf("poll: %+v", last)
		}
	})
}
