package client

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOnlyPandoIsTalkedTo(t *testing.T) {
	for name, test := range map[string]struct {
		cert func(w *world) tls.Certificate
		want string
	}{
		"a workload that poses as the server": {
			func(w *world) tls.Certificate { return w.identity(leafTemplate(w.id, time.Hour)) },
			"server is spiffe://example.org/web, want spiffe://example.org/pando/server",
		},
		"an identity below the server's": {
			func(w *world) tls.Certificate { return w.identity(leafTemplate(serverID+"/x", time.Hour)) }, "want " + serverID,
		},
		"the same identity under another root": {
			func(w *world) tls.Certificate {
				return newPKI("example.org").identity(leafTemplate(serverID, time.Hour))
			}, "unknown authority",
		},
		"the server of another domain": {
			func(w *world) tls.Certificate {
				return w.identity(leafTemplate("spiffe://evil.org/pando/server", time.Hour))
			}, "not in trust domain",
		},
		"an expired server": {
			func(w *world) tls.Certificate {
				template := leafTemplate(serverID, time.Hour)
				template.NotAfter = time.Now().Add(-time.Second)
				return w.identity(template)
			}, "expired",
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.stop()
				server := &http.Server{
					Handler: w, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
					TLSConfig: &tls.Config{Certificates: []tls.Certificate{test.cert(w)}, ClientAuth: tls.RequestClientCert},
				}
				l := w.net.listen(pandoHost)
				go server.ServeTLS(l, "", "")
				w.stop = func() { server.Close() }
				_, err := w.tryOpen(nil)
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v, want one with %q", err, test.want)
				}
				if n := len(w.seen()); n != 0 {
					t.Errorf("%d requests were sent, with the join token in them", n)
				}
			})
		})
	}
}

func TestTheNextServerIsAskedWhenOneFails(t *testing.T) {
	inWorld(t, func(w *world) {
		const second = "second.test:8443"
		stop := w.serve(w.net.listen(second), serverID)
		defer func() { stop() }()
		w.stop()
		s := w.open(func(c *Config) { c.Servers = []string{pandoURL, "https://" + second + "/"} })
		w.up() // and yet the one that answered last is asked first
		pass(time.Until(s.Status().RenewalDue))
		stop()
		pass(time.Until(s.Status().RenewalDue))
		var hosts []string
		for _, c := range w.seen() {
			hosts = append(hosts, c.Host)
		}
		if want := []string{second, second, pandoHost}; !slices.Equal(hosts, want) {
			t.Errorf("hosts: %v, want %v", hosts, want)
		}
		if st := s.Status(); st.LastError != nil || !st.Following {
			t.Errorf("status: %+v", st)
		}
	})
}

func TestARefusalIsNotTakenToTheNextServer(t *testing.T) {
	inWorld(t, func(w *world) {
		stop := w.serve(w.net.listen("second.test:8443"), serverID)
		defer stop()
		w.hook = func(_ int, rw http.ResponseWriter, _ fakeCall) bool {
			writeProblem(rw, http.StatusUnauthorized, "unauthenticated", "unknown token")
			return true
		}
		if _, err := w.tryOpen(func(c *Config) { c.Servers = append(c.Servers, "https://second.test:8443") }); err == nil {
			t.Error("no error")
		}
		if len(w.seen()) != 1 {
			t.Errorf("%d calls, want 1", len(w.seen()))
		}
	})
}

func TestAServerThatNeverAnswersIsGivenUp(t *testing.T) {
	inWorld(t, func(w *world) {
		stop := w.serve(w.net.listen("second.test:8443"), serverID)
		defer stop()
		w.stop()
		w.net.listen(pandoHost) // nobody accepts
		begin := time.Now()
		w.open(func(c *Config) { c.Servers = append(c.Servers, "https://second.test:8443") })
		if took := time.Since(begin); took != exchangeTimeout {
			t.Errorf("took %s, want %s", took, exchangeTimeout)
		}
	})
}

func TestAServerThatNeverAnswersLeavesTimeForTheNext(t *testing.T) {
	inWorld(t, func(w *world) {
		w.lifetime = 8 * time.Second
		stop := w.serve(w.net.listen("second.test:8443"), serverID)
		defer stop()
		s := w.open(func(c *Config) { c.Servers = append(c.Servers, "https://second.test:8443") })
		w.stop()
		w.net.listen(pandoHost) // nobody accepts
		first := s.Status()
		pass(time.Until(first.RenewalDue))
		pass(time.Until(first.NotAfter) / 2)
		if st := s.Status(); st.Serial == first.Serial {
			t.Errorf("not renewed half way between %s, when it was due, and its end %s: %v", first.RenewalDue, first.NotAfter, st.LastError)
		}
	})
}

func TestAnExistingCertificateIsTheStart(t *testing.T) {
	inWorld(t, func(w *world) {
		existing := w.identity(leafTemplate(w.id, time.Hour))
		existing.Leaf = nil // as tls.X509KeyPair may leave it
		w.stop()
		s := w.open(func(c *Config) { c.JoinToken, c.Certificate = "", &existing })
		if st := s.Status(); st.ID.String() != w.id || st.BundleSequence != 0 {
			t.Errorf("status: %+v", st)
		}
		w.up()
		pass(maxBackoff)
		if st := s.Status(); st.BundleSequence != 7 || w.seen()[0].Path != renewPath {
			t.Errorf("status: %+v", st)
		}
	})
}

func TestAnExistingCertificateThatIsOfNoUse(t *testing.T) {
	for name, test := range map[string]struct {
		cert func(w *world) tls.Certificate
		want string
	}{
		"expired": {func(w *world) tls.Certificate {
			template := leafTemplate(w.id, time.Hour)
			template.NotAfter = time.Now().Add(-time.Second)
			return w.identity(template)
		}, "expired"},
		"of another root":     {func(w *world) tls.Certificate { return newPKI("example.org").identity(leafTemplate(w.id, time.Hour)) }, "unknown authority"},
		"of another identity": {func(w *world) tls.Certificate { return w.identity(leafTemplate("spiffe://example.org/db", time.Hour)) }, "want spiffe://example.org/web"},
		"empty":               {func(*world) tls.Certificate { return tls.Certificate{} }, "no certificate"},
		"not DER":             {func(*world) tls.Certificate { return tls.Certificate{Certificate: [][]byte{{1, 2}}} }, "x509"},
		"without a key": {func(w *world) tls.Certificate {
			cert := w.identity(leafTemplate(w.id, time.Hour))
			cert.PrivateKey = nil
			return cert
		}, "cannot sign"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				cert := test.cert(w)
				_, err := w.tryOpen(func(c *Config) { c.JoinToken, c.Certificate, c.SPIFFEID = "", &cert, w.id })
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("error %v, want one with %q", err, test.want)
				}
				s := w.open(func(c *Config) { c.Certificate, c.SPIFFEID = &cert, w.id })
				if s.Status().ID.String() != w.id || w.seen()[0].Bearer != joinToken {
					t.Error("did not enrol with the join token instead")
				}
			})
		})
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	p := newPKI("example.org")
	jwt := func(context.Context) (string, error) { return "a.b.c", nil }
	missing := filepath.Join(t.TempDir(), "missing.pem")
	for name, test := range map[string]struct {
		edit func(c *Config)
		want string
	}{
		"no servers":               {func(c *Config) { c.Servers = nil }, "no servers"},
		"plain HTTP":               {func(c *Config) { c.Servers[0] = "http://pando.test" }, "want https"},
		"no host":                  {func(c *Config) { c.Servers[0] = "https://:8443" }, "want https"},
		"a server without scheme":  {func(c *Config) { c.Servers[0] = "pando.test:8443" }, "want https"},
		"a password in the URL":    {func(c *Config) { c.Servers[0] = "https://u:hunter2@pando.test" }, "want https"},
		"a query in the URL":       {func(c *Config) { c.Servers[0] = "https://pando.test?x=1" }, "want https"},
		"no trust bundle":          {func(c *Config) { c.TrustBundle = nil }, "neither TrustBundle nor"},
		"two trust bundles":        {func(c *Config) { c.TrustBundleFile = missing }, "both TrustBundle and"},
		"a missing trust bundle":   {func(c *Config) { c.TrustBundle, c.TrustBundleFile = nil, missing }, "missing.pem"},
		"a bundle that is no PEM":  {func(c *Config) { c.TrustBundle = []byte("hello") }, "no certificate in PEM"},
		"a leaf as bundle":         {func(c *Config) { c.TrustBundle = leafBundle(p) }, "want spiffe://example.org"},
		"roots of two domains":     {func(c *Config) { c.TrustBundle = append(c.TrustBundle, newPKI("evil.org").bundle()...) }, "evil.org"},
		"nothing to enrol with":    {func(c *Config) { c.JoinToken = "" }, "nothing to enrol with"},
		"two credentials":          {func(c *Config) { c.JWT = jwt }, "more than one"},
		"two files":                {func(c *Config) { c.JoinToken, c.JWTFile, c.JoinTokenFile = "", "a", "b" }, "more than one"},
		"an ID that is none":       {func(c *Config) { c.SPIFFEID = "web" }, "does not begin with spiffe"},
		"an ID of another domain":  {func(c *Config) { c.SPIFFEID = "spiffe://evil.org/web" }, "not in trust domain"},
		"an unknown key algorithm": {func(c *Config) { c.KeyAlgorithm = "rsa-2048" }, "unknown key algorithm"},
		"a negative duration":      {func(c *Config) { c.Duration = -time.Hour }, "under one second"},
		"half a second":            {func(c *Config) { c.Duration = time.Second / 2 }, "under one second"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := Config{Servers: []string{pandoURL}, TrustBundle: p.bundle(), JoinToken: joinToken, DialContext: newMemory().DialContext}
			test.edit(&cfg)
			_, err := Open(t.Context(), cfg)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func leafBundle(p *pki) []byte {
	return []byte(encodePEM(p.sign(leafTemplate("spiffe://example.org/web", time.Hour), newTestKey().Public())...))
}

func TestTokensThatCannotBeSent(t *testing.T) {
	for name, token := range map[string]string{
		"empty": "", "blank": " \n", "with a line break": "a\nb", "with a space": "a b", "not ASCII": "tök",
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				_, err := w.tryOpen(func(c *Config) {
					c.JoinToken, c.JWT = "", func(context.Context) (string, error) { return token, nil }
				})
				if err == nil || !strings.Contains(err.Error(), "credential: token") {
					t.Errorf("error: %v", err)
				}
				if token != "" && strings.Contains(err.Error(), token) {
					t.Errorf("error shows the token: %v", err)
				}
			})
		})
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":                              0,
		"0":                             0,
		"17":                            17 * time.Second,
		"3600":                          time.Hour,
		"86400":                         time.Hour,
		"9223372036854775807":           time.Hour,
		"-5":                            0,
		"soon":                          0,
		"1.5":                           0,
		"Sun, 01 Mar 2026 12:00:30 GMT": 30 * time.Second,
		"Sun, 01 Mar 2026 11:00:00 GMT": 0,
		"Sun, 01 Mar 2099 12:00:00 GMT": time.Hour,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("Retry-After %q: %s, want %s", value, got, want)
		}
	}
}

func TestInterimAnswersAreReadPast(t *testing.T) {
	for name, test := range map[string]struct {
		interim int
		fails   bool
	}{
		"one": {1, false}, "as many as are allowed": {maxInterim - 1, false}, "without end": {maxInterim, true},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.hook = func(n int, rw http.ResponseWriter, _ fakeCall) bool {
					for range test.interim {
						rw.WriteHeader(http.StatusEarlyHints)
					}
					return false
				}
				_, err := w.tryOpen(nil)
				if (err != nil) != test.fails {
					t.Errorf("error: %v", err)
				}
			})
		})
	}
}
