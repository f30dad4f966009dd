package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// revokedSources are the ways in which a workload learns that its own certificate is revoked.
func revokedSources() map[string]func(w *world, s *Source) {
	refuse := func(w *world, s *Source, path string) {
		serial := s.Status().Serial
		w.change(func() {
			w.hook = func(_ int, rw http.ResponseWriter, c fakeCall) bool {
				if c.Peer == serial && path == renewPath {
					writeProblem(rw, http.StatusForbidden, "revoked", "the presented certificate is revoked")
				}
				return c.Peer == serial && path == renewPath
			}
			w.pollHook = func(_ int, rw http.ResponseWriter, _ *http.Request, p fakePoll) bool {
				if p.Peer == serial && path == trustPath {
					writeProblem(rw, http.StatusForbidden, "revoked", "the presented certificate is revoked")
				}
				return p.Peer == serial && path == trustPath
			}
		})
	}
	return map[string]func(w *world, s *Source){
		"from the list":          func(w *world, s *Source) { w.revoke(s.snapshot.Load().leaf()) },
		"from a refused renewal": func(w *world, s *Source) { refuse(w, s, renewPath) },
		"from a refused poll":    func(w *world, s *Source) { refuse(w, s, trustPath) },
	}
}

func TestARevokedWorkload(t *testing.T) {
	for name, revoke := range revokedSources() {
		t.Run(name+", without a credential", func(t *testing.T) {
			inWorld(t, func(w *world) {
				s := w.open(nil)
				peer := w.peerOf("spiffe://example.org/peer")
				updates := s.Updates(w.t.Context())
				before := <-updates
				pass(time.Minute)
				revoke(w, s)
				pass(time.Until(before.RenewalDue) + time.Minute)
				if st := <-updates; !st.Revoked || st.Serial != before.Serial {
					t.Errorf("update: %+v", st)
				}
				st := s.Status()
				if !st.Revoked || st.Serial != before.Serial || st.LastError == nil || st.Expired(time.Now()) {
					t.Fatalf("status: %+v", st)
				}
				serverErr := shake(peer.ClientTLS(anyone), s.ServerTLS(anyone))
				_, clientErr, _ := handshake(named(s.ClientTLS(anyone)), peer.ServerTLS(anyone))
				for side, err := range map[string]error{"server": serverErr, "client": clientErr} {
					if !errors.Is(err, ErrRevoked) || !strings.Contains(err.Error(), "own certificate of spiffe://example.org/web: serial number "+st.Serial) {
						t.Errorf("%s: %v", side, err)
					}
				}
				calls, polls := len(w.seen()), len(w.polled())
				pass(time.Until(st.NotAfter) - time.Second)
				if n := len(w.seen()); n > calls || calls > 2 {
					t.Errorf("%d calls, then %d", calls, n)
				}
				if n := len(w.polled()) - polls; n > 2*30 {
					t.Errorf("%d polls in half an hour", n)
				}
			})
		})
		t.Run(name+", with one that can be used again", func(t *testing.T) {
			inWorld(t, func(w *world) {
				n := 0
				s := w.open(func(c *Config) {
					c.JoinToken, c.JWT = "", func(context.Context) (string, error) { n++; return fmt.Sprintf("jwt.%d", n), nil }
				})
				before := s.Status()
				pass(time.Minute)
				revoke(w, s)
				pass(time.Until(before.RenewalDue) + time.Minute)
				if st := s.Status(); st.Revoked || st.Serial == before.Serial || !st.Following || n != 2 {
					t.Errorf("status: %+v after %d JWTs", st, n)
				}
			})
		})
	}
}

func TestARevokedWorkloadThatMayNotEnrolDoesNotHammer(t *testing.T) {
	inWorld(t, func(w *world) {
		w.lifetime = 24 * time.Hour
		s := w.open(func(c *Config) {
			c.JoinToken, c.JWT = "", func(context.Context) (string, error) { return "a.b.c", nil }
		})
		pass(time.Minute)
		w.change(func() {
			w.hook = func(_ int, rw http.ResponseWriter, _ fakeCall) bool {
				writeProblem(rw, http.StatusForbidden, "policy_denied", "no entry")
				return true
			}
			w.pollHook = func(_ int, rw http.ResponseWriter, _ *http.Request, _ fakePoll) bool {
				writeProblem(rw, http.StatusForbidden, "revoked", "the presented certificate is revoked")
				return true
			}
		})
		calls, polls := len(w.seen()), len(w.polled())
		pass(6 * time.Hour)
		if c, p := len(w.seen())-calls, len(w.polled())-polls; c > 150 || c < 30 || p > 40 || p < 20 {
			t.Errorf("%d calls and %d polls in six hours", c, p)
		}
		if st := s.Status(); !st.Revoked || st.Following {
			t.Errorf("status: %+v", st)
		}
	})
}

func TestARevokedIssuerRenewsAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(nil)
		pass(5 * time.Minute)
		before, old := s.Status(), w.issuer
		w.change(func() {
			next := *w.pki
			next.issueKey = newTestKey()
			next.issuer = w.authority("intermediate", time.Now().AddDate(1, 0, 0), next.issueKey.Public(), w.root)
			*w.pki = next
			w.serveWith(serverID, w.pki)
		})
		w.revokeAuthority(old)
		pass(0)
		if st := s.Status(); st.Serial == before.Serial || st.Revoked || st.Issuer != authorityID(w.issuer) || !st.LastSuccess.Equal(time.Now()) {
			t.Errorf("status: %+v", st)
		}
		pass(time.Minute)
		if st := s.Status(); !st.Following || len(w.seen()) != 2 {
			t.Errorf("status: %+v after %d calls", st, len(w.seen()))
		}
	})
}

func TestANewCertificateThatIsRevokedAlreadyIsNotTaken(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(nil)
		w.revokeAuthority(newPKI("example.org").root)
		pass(time.Minute)
		before := s.Status()
		other := *w.pki
		other.issueKey = newTestKey()
		other.issuer = w.authority("intermediate", time.Now().AddDate(1, 0, 0), other.issueKey.Public(), w.root)
		w.revokeAuthority(other.issuer)
		w.change(func() {
			w.edit = func(n int, c fakeCall, a *answer) {
				if n == 2 {
					*a = w.answerWith(other.sign(leafTemplate(w.id, w.lifetime), c.csr.PublicKey))
				}
			}
		})
		pass(time.Until(before.RenewalDue))
		if st := s.Status(); st.Serial != before.Serial || st.Revoked || !errors.Is(st.LastError, ErrRevoked) {
			t.Errorf("status: %+v", st)
		}
		pass(maxBackoff)
		if st := s.Status(); st.Serial == before.Serial || st.LastError != nil {
			t.Errorf("status in the end: %+v", st)
		}
	})
}
