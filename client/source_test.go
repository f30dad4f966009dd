package client

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	pandoHost = "pando.test:8443"
	pandoURL  = "https://pando.test:8443"
	serverID  = "spiffe://example.org/pando/server"
	joinToken = "pjt_c2VjcmV0"
)

// world is a fake Pando on a network in memory, under a fake clock.
type world struct {
	*fakePando
	t    *testing.T
	net  *memory
	stop func()
}

// inWorld runs f in a world whose clock stands still while anything is going on.
func inWorld(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{fakePando: newFakePando(t.Errorf), t: t, net: newMemory()}
		w.up()
		t.Cleanup(func() {
			w.stop()
			// A pipe has no buffer, so that both ends of a TLS connection that close at
			// once wait for each other until crypto/tls gives up.
			pass(10 * time.Second)
		})
		f(w)
	})
}

func (w *world) up() { w.stop = w.serve(w.net.listen(pandoHost), serverID) }

func (w *world) config() Config {
	return Config{Servers: []string{pandoURL}, TrustBundle: w.bundle(), JoinToken: joinToken, DialContext: w.net.DialContext}
}

func (w *world) open(edit func(c *Config)) *Source {
	w.t.Helper()
	s, err := w.tryOpen(edit)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// tryOpen opens within five minutes, and closes at the end of the test.
func (w *world) tryOpen(edit func(c *Config)) (*Source, error) {
	cfg := w.config()
	if edit != nil {
		edit(&cfg)
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Minute)
	defer cancel()
	s, err := Open(ctx, cfg)
	if err == nil {
		w.t.Cleanup(func() { s.Close() })
	}
	return s, err
}

// pass lets time pass, and everything that is due happen.
func pass(d time.Duration) {
	time.Sleep(d) // of the fake clock
	synctest.Wait()
}

func TestOpenReturnsWithAnIdentity(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(func(c *Config) {
			c.SPIFFEID, c.DNSNames, c.Profile, c.Duration = w.id, []string{"web.example.org"}, "workload", 90*time.Minute
		})
		calls := w.seen()
		if len(calls) != 1 || calls[0].Bearer != joinToken || calls[0].Path != signPath {
			t.Fatalf("calls: %+v", calls)
		}
		r := calls[0].Request
		if r.SPIFFEID != w.id || r.DNSNames[0] != "web.example.org" || r.Profile != "workload" || r.Duration != "5400s" {
			t.Errorf("request: %+v", r)
		}
		cert, err := s.Certificate()
		if err != nil || cert.Leaf.URIs[0].String() != w.id || len(cert.Certificate) != 2 {
			t.Errorf("certificate: %v, %v", cert, err)
		}
		st := s.Status()
		if st.ID.String() != w.id || st.BundleSequence != 7 || st.LastError != nil || !st.LastSuccess.Equal(time.Now()) {
			t.Errorf("status: %+v", st)
		}
		if st.Serial != fmt.Sprintf("%038x", cert.Leaf.SerialNumber) || len(st.Issuer) != 16 || !st.NotAfter.Equal(cert.Leaf.NotAfter) {
			t.Errorf("status: %+v", st)
		}
		if s.ID().String() != w.id || s.TrustDomain().String() != "example.org" || !s.Roots()[0].Equal(w.root) {
			t.Errorf("ID %s, trust domain %s, roots %v", s.ID(), s.TrustDomain(), s.Roots())
		}
	})
}

func TestEachKeyAlgorithm(t *testing.T) {
	for _, algorithm := range []KeyAlgorithm{"", ECDSAP256, ECDSAP384, Ed25519} {
		t.Run("key "+string(algorithm), func(t *testing.T) {
			inWorld(t, func(w *world) {
				s := w.open(func(c *Config) { c.KeyAlgorithm = algorithm })
				want := map[KeyAlgorithm]string{"": "ECDSA 256", ECDSAP256: "ECDSA 256", ECDSAP384: "ECDSA 384", Ed25519: "Ed25519 0"}
				if got := describeKey(s); got != want[algorithm] {
					t.Errorf("key is %s, want %s", got, want[algorithm])
				}
			})
		})
	}
}

// describeKey says what kind of key the current certificate has.
func describeKey(s *Source) string {
	leaf := s.snapshot.Load().leaf()
	bits := 0
	if key, ok := leaf.PublicKey.(*ecdsa.PublicKey); ok {
		bits = key.Curve.Params().BitSize
	}
	return fmt.Sprintf("%s %d", leaf.PublicKeyAlgorithm, bits)
}

func TestOpenWaitsForAServerThatIsDown(t *testing.T) {
	inWorld(t, func(w *world) {
		w.stop()
		begin := time.Now()
		time.AfterFunc(40*time.Second, w.up)
		w.open(nil)
		synctest.Wait() // for up
		if took := time.Since(begin); took < 40*time.Second || took > 40*time.Second+maxBackoff {
			t.Errorf("Open took %s", took)
		}
	})
}

func TestOpenNamesTheLastCause(t *testing.T) {
	inWorld(t, func(w *world) {
		w.stop()
		begin := time.Now()
		_, err := w.tryOpen(nil)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("error: %v", err)
		}
		if took := time.Since(begin); took != 5*time.Minute {
			t.Errorf("Open took %s, want its deadline", took)
		}
	})
}

func TestOpenGivesUpOnARefusal(t *testing.T) {
	inWorld(t, func(w *world) {
		w.hook = func(_ int, rw http.ResponseWriter, _ fakeCall) bool {
			writeProblem(rw, http.StatusForbidden, "policy_denied", "no entry\x1b[31m matches")
			return true
		}
		_, err := w.tryOpen(nil)
		var refusal *ServerError
		if !errors.As(err, &refusal) || refusal.Code != "policy_denied" || refusal.RequestID != "req-1" || refusal.Server != pandoURL {
			t.Fatalf("error: %v", err)
		}
		if strings.ContainsRune(err.Error(), '\x1b') {
			t.Errorf("error holds a control character: %q", err)
		}
		if n := len(w.seen()); n != 1 {
			t.Errorf("%d calls, want 1", n)
		}
	})
}

func TestALostAnswerToAJoinTokenIsAskedForAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.edit = func(n int, _ fakeCall, a *answer) {
			if n == 1 {
				panic(http.ErrAbortHandler) // the record exists, the answer is gone
			}
		}
		s := w.open(nil)
		calls := w.seen()
		if len(calls) != 2 || calls[0].Key != calls[1].Key {
			t.Fatalf("calls: %+v", calls)
		}
		if st := s.Status(); st.ID.String() != w.id {
			t.Errorf("status: %+v", st)
		}
	})
}

func TestRenewalHappensAtTheInstantThatTheServerGave(t *testing.T) {
	due := func(n int, at time.Time) time.Time {
		return at.Add(20*time.Minute + time.Duration(n)*1234567*time.Microsecond)
	}
	inWorld(t, func(w *world) {
		w.edit = func(n int, c fakeCall, a *answer) { a.Renewal.Start = due(n, c.At) }
		s := w.open(nil)
		for i := 1; i <= 20; i++ {
			before, last := s.Status(), w.seen()[i-1]
			want := due(i, last.At)
			if !before.RenewalDue.Equal(want) || before.LastError != nil {
				t.Fatalf("status: %+v, want it due at %s", before, want)
			}
			pass(time.Until(want) - 1)
			if n := len(w.seen()); n != i {
				t.Fatalf("%d calls a nanosecond before renewal %d", n, i)
			}
			pass(1)
			calls := w.seen()
			if len(calls) != i+1 {
				t.Fatalf("%d calls after %d renewals", len(calls), i)
			}
			if c := calls[i]; !c.At.Equal(want) || c.Path != renewPath || c.Peer != before.Serial || c.Request.SPIFFEID != "" {
				t.Fatalf("renewal %d: %+v, want at %s with %s", i, c, want, before.Serial)
			}
			if s.Status().Serial == before.Serial {
				t.Fatalf("renewal %d was not swapped in", i)
			}
		}
	})
}

func TestAWindowThatIsNonsenseIsReplaced(t *testing.T) {
	zero := time.Time{}
	for name, start := range map[string]time.Time{
		"missing":                zero,
		"a century ahead":        zero.AddDate(2100, 0, 0),
		"before the certificate": zero.AddDate(1990, 0, 0),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.edit = func(_ int, _ fakeCall, a *answer) { a.Renewal = renewal{Start: start} }
				s := w.open(nil)
				if st := s.Status(); !st.RenewalDue.Equal(st.NotBefore.Add(30 * time.Minute)) {
					t.Errorf("due at %s, valid %s to %s", st.RenewalDue, st.NotBefore, st.NotAfter)
				}
			})
		})
	}
}

func TestWindowsThatHaveBegunDoNotMakeALoop(t *testing.T) {
	inWorld(t, func(w *world) {
		w.renewAt = func(*x509.Certificate) time.Time { return time.Now().Add(-time.Second) }
		w.open(nil)
		pass(time.Hour)
		if n := len(w.seen()); n < 10 || n > 21 {
			t.Errorf("%d calls in an hour of one-hour certificates", n)
		}
	})
}

func TestAFailedRenewalKeepsTheCertificate(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(nil)
		before := s.Status()
		w.stop()
		pass(time.Until(before.RenewalDue) + 10*time.Minute)
		st := s.Status()
		if st.Serial != before.Serial || st.Failures < 8 || st.LastError == nil || !strings.Contains(st.LastError.Error(), "connection refused") {
			t.Fatalf("status: %+v", st)
		}
		if _, err := s.Certificate(); err != nil {
			t.Errorf("certificate: %v", err)
		}
		w.up()
		pass(maxBackoff)
		if st := s.Status(); st.Serial == before.Serial || st.Failures != 0 || st.LastError != nil {
			t.Errorf("status after the server came back: %+v", st)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	inWorld(t, func(w *world) {
		w.hook = func(n int, rw http.ResponseWriter, _ fakeCall) bool {
			if n == 2 {
				rw.Header().Set("Retry-After", "90")
				writeProblem(rw, http.StatusTooManyRequests, "rate_limited", "slow down")
			}
			return n == 2
		}
		s := w.open(nil)
		pass(time.Until(s.Status().RenewalDue) + 3*time.Minute)
		calls := w.seen()
		if len(calls) != 3 {
			t.Fatalf("%d calls, want 3", len(calls))
		}
		if gap := calls[2].At.Sub(calls[1].At); gap < 90*time.Second || gap > 91*time.Second {
			t.Errorf("tried again after %s, want 90s and some jitter", gap)
		}
	})
}

func TestAfterExpiry(t *testing.T) {
	jwt := filepath.Join(t.TempDir(), "jwt")
	n := 0
	for name, test := range map[string]struct {
		edit   func(c *Config)
		enrols bool
	}{
		"a spent join token enrols nobody": {edit: func(*Config) {}},
		"a JWT file is read again":         {enrols: true, edit: func(c *Config) { c.JoinToken, c.JWTFile = "", jwt }},
		"a JWT function is called again": {enrols: true, edit: func(c *Config) {
			c.JoinToken, c.JWT = "", func(context.Context) (string, error) { n++; return fmt.Sprintf("jwt.%d", n), nil }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			writeFile(t, jwt, "first.jwt")
			inWorld(t, func(w *world) {
				s := w.open(test.edit)
				before := s.Status()
				w.stop()
				pass(time.Until(before.NotAfter) + time.Minute)
				if _, err := s.Certificate(); !errors.Is(err, ErrExpired) || !strings.Contains(err.Error(), "last cause") {
					t.Fatalf("certificate after expiry: %v", err)
				}
				writeFile(t, jwt, "second.jwt")
				w.up()
				pass(10 * time.Minute)
				st := s.Status()
				if enrolled := st.Serial != before.Serial; enrolled != test.enrols || st.Expired(time.Now()) == test.enrols {
					t.Fatalf("status: %+v", st)
				}
				if test.enrols && w.seen()[1].Bearer == w.seen()[0].Bearer {
					t.Errorf("calls: %+v", w.seen())
				}
			})
		})
	}
}

func TestANewJoinTokenInTheFileEnrolsAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	writeFile(t, file, joinToken+"\n")
	inWorld(t, func(w *world) {
		s := w.open(func(c *Config) { c.JoinToken, c.JoinTokenFile = "", file })
		w.stop()
		pass(2 * time.Hour)
		w.up()
		pass(5 * time.Minute)
		if n := len(w.seen()); n != 1 {
			t.Fatalf("%d calls: a spent token was sent again", n)
		}
		writeFile(t, file, "pjt_another")
		pass(maxBackoff)
		if st := s.Status(); st.Expired(time.Now()) || w.seen()[1].Bearer != "pjt_another" {
			t.Errorf("status: %+v", st)
		}
	})
}

func TestACertificateThatTheCAWillNotRenewIsReplacedByEnrolment(t *testing.T) {
	inWorld(t, func(w *world) {
		w.hook = func(_ int, rw http.ResponseWriter, c fakeCall) bool {
			if c.Path == renewPath {
				writeProblem(rw, http.StatusUnauthorized, "unauthenticated", "unknown certificate")
			}
			return c.Path == renewPath
		}
		n := 0
		s := w.open(func(c *Config) {
			c.JoinToken, c.JWT = "", func(context.Context) (string, error) { n++; return fmt.Sprintf("jwt.%d", n), nil }
		})
		before := s.Status()
		pass(time.Until(before.RenewalDue))
		if st := s.Status(); st.Serial == before.Serial || n != 2 {
			t.Errorf("status: %+v after %d JWTs", st, n)
		}
	})
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
