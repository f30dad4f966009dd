package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// begin starts without waiting, and closes at the end of the test.
func (w *world) begin(edit func(c *Config)) *Source {
	w.t.Helper()
	cfg := w.config()
	if edit != nil {
		edit(&cfg)
	}
	s, err := Start(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { s.Close() })
	return s
}

// logbook is a log to look into.
type logbook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// count returns how many lines hold a text.
func (l *logbook) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func (l *logbook) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func isReady(s *Source) bool {
	select {
	case <-s.Ready():
		return true
	default:
		return false
	}
}

func TestAProgramStartsBeforeTheCA(t *testing.T) {
	inWorld(t, func(w *world) {
		w.stop()
		begun := time.Now()
		s := w.begin(nil)
		if !time.Now().Equal(begun) {
			t.Errorf("Start took %s", time.Since(begun))
		}
		updates := s.Updates(w.t.Context())
		if st := <-updates; st.Ready {
			t.Errorf("first update: %+v", st)
		}
		pass(time.Minute)
		checkNotReady(w.t, s)
		w.up()
		ctx, cancel := context.WithTimeout(w.t.Context(), 2*maxBackoff)
		defer cancel()
		if err := s.Wait(ctx); err != nil || !isReady(s) {
			t.Fatalf("wait: %v", err)
		}
		synctest.Wait()
		if st := <-updates; !st.Ready || st.Serial != s.Status().Serial {
			t.Errorf("update: %+v", st)
		}
		if _, clientErr, serverErr := handshake(s.ClientTLS(anyone), s.ServerTLS(anyone)); clientErr != nil || serverErr != nil {
			t.Errorf("handshake: %v, %v", clientErr, serverErr)
		}
		pass(time.Minute)
		if st := s.Status(); st.ID.String() != w.id || st.LastError != nil || st.Failures != 0 || !st.Following || len(w.seen()) != 1 {
			t.Errorf("status: %+v", st)
		}
	})
}

// checkNotReady asks a Source that has no identity everything that can be asked.
func checkNotReady(t *testing.T, s *Source) {
	t.Helper()
	if isReady(s) || !s.ID().IsZero() || s.TrustDomain().String() != "example.org" || len(s.Roots()) != 1 {
		t.Errorf("ready %v, ID %q, trust domain %s, %d roots", isReady(s), s.ID(), s.TrustDomain(), len(s.Roots()))
	}
	st := s.Status()
	if st.Ready || !st.Expired(time.Now()) || st.Failures == 0 || st.LastError == nil || st.Serial != "" || !st.NotAfter.IsZero() {
		t.Errorf("status: %+v", st)
	}
	notYet := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ErrNotReady) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%s: %v", what, err)
		}
		if reason := ReasonOf(err, time.Now()); reason != ReasonOther {
			t.Errorf("reason %s", reason)
		}
	}
	_, err := s.Certificate()
	notYet("certificate", err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err = s.Wait(ctx)
	notYet("wait", err)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("wait: %v", err)
	}
	p := newPKI("example.org")
	peer := fixed(rootsOf(1, p), p.identity(leafTemplate("spiffe://example.org/peer", time.Hour)))
	_, _, err = handshake(peer.ClientTLS(anyone), s.ServerTLS(anyone))
	notYet("as a server", err)
	_, err, _ = handshake(s.ClientTLS(anyone), peer.ServerTLS(anyone))
	notYet("as a client", err)
}

func TestTheConfiguredIDIsKnownBeforeThereIsAnIdentity(t *testing.T) {
	inWorld(t, func(w *world) {
		w.stop()
		if s := w.begin(func(c *Config) { c.SPIFFEID = w.id }); s.ID().String() != w.id {
			t.Errorf("ID %q", s.ID())
		}
	})
}

func TestStartRefusesWhatOpenRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(c *Config)
		want string
	}{
		"no server": {func(c *Config) { c.Servers = nil }, "no servers"},
		"an existing certificate of another CA, and nothing to enrol with": {func(c *Config) {
			other := newPKI("example.org").identity(leafTemplate("spiffe://example.org/web", time.Hour))
			c.JoinToken, c.Certificate = "", &other
		}, "existing certificate"},
		"an empty cache, and nothing to enrol with": {func(c *Config) { c.JoinToken, c.CacheDir = "", t.TempDir()+"/cache" }, "no identity in a cache"},
		"a cache that cannot be made":               {func(c *Config) { c.CacheDir = "/dev/null/cache" }, "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				cfg := w.config()
				test.edit(&cfg)
				_, err := Start(cfg)
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("Start: %v", err)
				}
				if _, open := Open(w.t.Context(), cfg); fmt.Sprint(open) != fmt.Sprint(err) {
					t.Errorf("Open: %v", open)
				}
			})
		})
	}
}

func TestARefusalThatIsFinal(t *testing.T) {
	jwt := filepath.Join(t.TempDir(), "jwt")
	for name, test := range map[string]struct {
		edit    func(c *Config)
		givesUp bool
	}{
		"is the end with a join token": {edit: func(*Config) {}, givesUp: true},
		"is not with a file of tokens": {edit: func(c *Config) { c.JoinToken, c.JoinTokenFile = "", jwt }},
		"is not with a file of JWTs":   {edit: func(c *Config) { c.JoinToken, c.JWTFile = "", jwt }},
	} {
		t.Run(name, func(t *testing.T) {
			writeFile(t, jwt, "pjt_first")
			inWorld(t, func(w *world) {
				refuse := func(_ int, rw http.ResponseWriter, c fakeCall) bool {
					writeProblem(rw, http.StatusForbidden, "policy_denied", "no entry")
					return true
				}
				w.hook = refuse
				s := w.begin(test.edit)
				pass(24 * time.Hour)
				calls := len(w.seen())
				ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
				defer cancel()
				err := s.Wait(ctx)
				var refusal *ServerError
				if !errors.Is(err, ErrNotReady) || !errors.As(err, &refusal) || refusal.Code != "policy_denied" {
					t.Errorf("wait: %v", err)
				}
				if errors.Is(err, context.DeadlineExceeded) == test.givesUp {
					t.Errorf("wait: %v", err)
				}
				if test.givesUp && calls != 1 || !test.givesUp && (calls < 24*6 || calls > 24*30) {
					t.Errorf("%d calls in a day", calls)
				}
				if st := s.Status(); st.Ready || !errors.As(st.LastError, &refusal) || st.Failures != calls {
					t.Errorf("status: %+v", st)
				}
				w.change(func() { w.hook = nil })
				writeFile(t, jwt, "pjt_second")
				pass(refusedPause)
				if isReady(s) == test.givesUp {
					t.Errorf("ready %v", isReady(s))
				}
			})
		})
	}
}

func TestASourceThatWasNeverReadyIsClosed(t *testing.T) {
	inWorld(t, func(w *world) {
		w.stop()
		s := w.begin(nil)
		updates := s.Updates(w.t.Context())
		waiting := make(chan error, 1)
		go func() { waiting <- s.Wait(w.t.Context()) }()
		pass(time.Minute)
		s.Close()
		if err := <-waiting; !errors.Is(err, ErrNotReady) || !errors.Is(err, context.Canceled) {
			t.Errorf("wait: %v", err)
		}
		dials := len(w.net.times())
		pass(time.Hour)
		if n := len(w.net.times()); n != dials || isReady(s) || count(updates) != 1 {
			t.Errorf("%d dials after Close", n-dials)
		}
		s.Close()
	})
}

func TestAPanicOfTheProgramIsAFailure(t *testing.T) {
	panics := 0
	for name, edit := range map[string]func(c *Config){
		"in the function for JWTs": func(c *Config) {
			c.JoinToken, c.JWT = "", func(context.Context) (string, error) {
				if panics++; panics < 3 {
					panic("no \x1b token")
				}
				return "a.jwt", nil
			}
		},
		"in the dialer": func(c *Config) {
			dial := c.DialContext
			c.DialContext = func(ctx context.Context, network, address string) (conn net.Conn, err error) {
				if panics++; panics < 3 {
					panic(errors.New("no \x1b token"))
				}
				return dial(ctx, network, address)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			panics = 0
			inWorld(t, func(w *world) {
				var failures []error
				s := w.begin(func(c *Config) {
					edit(c)
					c.Metrics = tries(func(err error) { failures = append(failures, err) })
				})
				pass(time.Minute)
				if !isReady(s) || len(failures) != 3 || failures[2] != nil {
					t.Fatalf("ready %v after %v", isReady(s), failures)
				}
				if text := failures[0].Error(); !strings.Contains(text, "start_test.go:") || !strings.Contains(text, `no \x1b token`) {
					t.Errorf("failure: %s", text)
				}
			})
		})
	}
}

func TestAPanicOfAHookIsLogged(t *testing.T) {
	inWorld(t, func(w *world) {
		var book logbook
		s := w.open(func(c *Config) {
			c.Log = book.logger()
			c.Metrics = tries(func(error) { panic("tried") })
			c.Notify = func(Event) { panic("notified") }
		})
		pass(time.Hour)
		if s.Status().Expired(time.Now()) || book.count("hook=Metrics") < 2 || book.count("hook=Notify") < 2 || book.count("start_test.go:") < 4 {
			t.Errorf("log: %s", book.text.String())
		}
	})
}

func TestAnExpiredIdentityIsPresentedOnRequestOnly(t *testing.T) {
	for name, present := range map[string]bool{"not by default": false, "on request": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				s := w.open(func(c *Config) { c.PresentExpired = present })
				// A peer that looks at the time, and below one that does not.
				peer := w.identity(leafTemplate("spiffe://example.org/peer", 24*time.Hour))
				strict := fixed(rootsOf(9, w.pki), peer)
				w.stop()
				pass(2 * time.Hour)
				_, err := s.Certificate()
				if !s.Status().Expired(time.Now()) || errors.Is(err, ErrExpired) == present {
					t.Errorf("certificate: %v", err)
				}
				laxServer := strict.ServerTLS(anyone)
				laxServer.VerifyConnection = nil
				if _, clientErr, serverErr := handshake(s.ClientTLS(anyone), laxServer); (clientErr == nil && serverErr == nil) != present {
					t.Errorf("with a peer that does not mind: %v, %v", clientErr, serverErr)
				}
				if _, _, serverErr := handshake(s.ClientTLS(anyone), strict.ServerTLS(anyone)); serverErr == nil {
					t.Error("a Pando peer has accepted it")
				}
			})
		})
	}
}

func TestARevokedIdentityIsNeverPresented(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(func(c *Config) { c.PresentExpired = true })
		w.revoke(s.snapshot.Load().leaf())
		pass(2 * time.Hour)
		if _, err := s.Certificate(); !errors.Is(err, ErrRevoked) {
			t.Errorf("certificate: %v", err)
		}
	})
}
