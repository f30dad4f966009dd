package client

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// cached is a configuration with a cache in a new directory.
func cached(t *testing.T) (edit func(c *Config), dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "cache")
	return func(c *Config) { c.CacheDir = dir }, dir
}

// both applies one edit after the other.
func both(edits ...func(c *Config)) func(c *Config) {
	return func(c *Config) {
		for _, edit := range edits {
			edit(c)
		}
	}
}

// withJWT has a configuration enrol with a JWT, each time another.
func withJWT(c *Config) {
	n := 0
	c.JoinToken, c.JWT = "", func(context.Context) (string, error) { n++; return fmt.Sprintf("jwt.%d", n), nil }
}

func TestARestartWhileTheCAIsAwayKeepsIdentityAndWindow(t *testing.T) {
	edit, _ := cached(t)
	inWorld(t, func(w *world) {
		s := w.open(edit)
		pass(10 * time.Minute)
		before := s.Status()
		s.Close()
		w.stop()
		pass(time.Minute)
		begun := time.Now()
		s = w.open(edit) // with a join token that is used
		after := s.Status()
		if !time.Now().Equal(begun) || !isReady(s) || after.Serial != before.Serial || !after.RenewalDue.Equal(before.RenewalDue) ||
			!after.RenewalOverdue.Equal(before.RenewalOverdue) || after.BundleSequence != before.BundleSequence ||
			!after.BundleUpdated.Equal(before.BundleUpdated) || !after.LastSuccess.Equal(before.LastSuccess) {
			t.Fatalf("after: %+v\nbefore: %+v", after, before)
		}
		if _, clientErr, serverErr := handshake(s.ClientTLS(anyone), s.ServerTLS(anyone)); clientErr != nil || serverErr != nil {
			t.Errorf("handshake: %v, %v", clientErr, serverErr)
		}
		w.up()
		pass(time.Until(after.RenewalDue) - 1)
		if n := len(w.seen()); n != 1 {
			t.Fatalf("%d calls before the window", n)
		}
		pass(1)
		if calls := w.seen(); len(calls) != 2 || calls[1].Path != renewPath || !calls[1].At.Equal(before.RenewalDue) {
			t.Errorf("calls: %+v", calls)
		}
		if st := s.Status(); st.Serial == before.Serial || st.CacheError != nil {
			t.Errorf("status: %+v", st)
		}
	})
}

func TestARestartAfterTheWindowBeganRenewsAtOnce(t *testing.T) {
	edit, _ := cached(t)
	inWorld(t, func(w *world) {
		s := w.open(edit)
		due := s.Status().RenewalDue
		s.Close()
		pass(time.Until(due) + time.Second)
		w.open(edit)
		pass(0)
		if calls := w.seen(); len(calls) != 2 || calls[1].Path != renewPath {
			t.Errorf("calls: %+v", calls)
		}
	})
}

func TestAWindowThatWasMovedIsKept(t *testing.T) {
	edit, _ := cached(t)
	inWorld(t, func(w *world) {
		s := w.open(edit)
		pass(time.Minute)
		sooner := time.Now().Add(5 * time.Minute).Truncate(time.Second)
		w.change(func() { w.windows[s.Status().Serial] = renewal{Start: sooner, End: sooner.Add(time.Minute)} })
		pass(time.Second)
		s.Close()
		w.stop()
		if st := w.open(edit).Status(); !st.RenewalDue.Equal(sooner) || !st.RenewalOverdue.Equal(sooner.Add(time.Minute)) {
			t.Errorf("due at %s, want %s", st.RenewalDue, sooner)
		}
	})
}

// spoil is what may have become of a cache, and what its log says then.
func spoil() map[string]struct {
	happens func(w *world, dir string) error
	says    string // in the log; "": nothing
} {
	identity := func(f func(text []byte) []byte) func(*world, string) error {
		return func(_ *world, dir string) error { return rewrite(filepath.Join(dir, identityFile), f) }
	}
	with := func(text func(w *world) string) func(*world, string) error {
		return func(w *world, dir string) error {
			return os.WriteFile(filepath.Join(dir, identityFile), []byte(text(w)), 0o600)
		}
	}
	type row = struct {
		happens func(w *world, dir string) error
		says    string
	}
	return map[string]row{
		"it is gone":       {happens: func(_ *world, dir string) error { return os.RemoveAll(dir) }},
		"the key is gone":  {identity(func(text []byte) []byte { return text[strings.Index(string(text), "-----BEGIN CERT"):] }), "does not begin with a key"},
		"it is torn":       {identity(func(text []byte) []byte { return text[:len(text)/2] }), "identity in the cache is of no use"},
		"it is empty":      {identity(func([]byte) []byte { return nil }), "does not begin with a key"},
		"it is garbage":    {identity(func(text []byte) []byte { return []byte(strings.Repeat("\x00", len(text))) }), "does not begin with a key"},
		"it has no end":    {identity(func([]byte) []byte { return make([]byte, maxIdentity+1) }), "is over 65536 octets"},
		"a group may read": {func(_ *world, dir string) error { return os.Chmod(filepath.Join(dir, identityFile), 0o640) }, "lets others in"},
		"it is a directory": {func(_ *world, dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, identityFile)), os.Mkdir(filepath.Join(dir, identityFile), 0o700))
		}, "is not a regular file"},
		"the key is another's": {with(func(w *world) string {
			mine := identityText(w.pki, w.id, time.Hour)
			return mine[:strings.Index(mine, "-----BEGIN CERT")] + encodePEM(w.sign(leafTemplate(w.id, time.Hour), newTestKey().Public())...)
		}), "for another key"},
		"it is of another CA":           {with(func(w *world) string { return identityText(newPKI("example.org"), w.id, time.Hour) }), "unknown authority"},
		"it is of another trust domain": {with(func(*world) string { return identityText(newPKI("other.org"), "spiffe://other.org/web", time.Hour) }), "not in trust domain"},
		"it is somebody else's":         {with(func(w *world) string { return identityText(w.pki, "spiffe://example.org/other", time.Hour) }), "want spiffe://example.org/web"},
		"it is that of an authority":    {with(func(w *world) string { return identityText(w.pki, "spiffe://example.org", time.Hour) }), "ID of an authority"},
		"it has expired":                {happens: func(*world, string) error { pass(2 * time.Hour); return nil }, says: "expired"},
	}
}

// identityText is what a cache holds of an identity.
func identityText(p *pki, id string, d time.Duration) string {
	pair := p.identity(leafTemplate(id, d))
	s := &snapshot{certificate: pair}
	for _, der := range pair.Certificate {
		s.chain = append(s.chain, must(x509.ParseCertificate(der)))
	}
	return string(must(encodeIdentity(s)))
}

func rewrite(path string, f func(text []byte) []byte) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, f(text), 0o600)
}

func TestACachedIdentityThatIsNoneIsNeverUsed(t *testing.T) {
	onUnix(t)
	for name, test := range spoil() {
		t.Run(name, func(t *testing.T) {
			edit, dir := cached(t)
			inWorld(t, func(w *world) {
				var book logbook
				edit = both(edit, withJWT, func(c *Config) { c.SPIFFEID, c.Log = w.id, book.logger() })
				s := w.open(edit)
				before := s.Status().Serial
				s.Close()
				if err := test.happens(w, dir); err != nil {
					t.Fatal(err)
				}
				s = w.open(edit)
				if st := s.Status(); st.Serial == before || st.Expired(time.Now()) || st.ID.String() != w.id {
					t.Errorf("status: %+v", st)
				}
				if calls := w.seen(); len(calls) != 2 || calls[1].Path != signPath {
					t.Errorf("calls: %+v", calls)
				}
				if test.says != "" && book.count(test.says) != 1 || test.says == "" && book.count("of no use") != 0 {
					t.Errorf("log: %s", book.text.String())
				}
				if book.count("PRIVATE KEY") != 0 {
					t.Errorf("log: %s", book.text.String())
				}
			})
		})
	}
}

func TestAStateThatIsNoneLosesTheWindowOnly(t *testing.T) {
	onUnix(t)
	for name, f := range map[string]func(path string) error{
		"it is gone":          os.Remove,
		"it is torn":          func(path string) error { return rewrite(path, func(text []byte) []byte { return text[:len(text)/2] }) },
		"it is garbage":       func(path string) error { return os.WriteFile(path, []byte("[[["), 0o600) },
		"it is of tomorrow":   func(path string) error { return os.WriteFile(path, []byte(`{"version":2}`), 0o600) },
		"everybody may write": func(path string) error { return os.Chmod(path, 0o666) },
		"it has a bundle that is none": func(path string) error {
			return rewrite(path, func(text []byte) []byte { return []byte(strings.ReplaceAll(string(text), "MII", "MIX")) })
		},
		"it is of another certificate": func(path string) error {
			return rewrite(path, func(text []byte) []byte {
				var st state
				if err := json.Unmarshal(text, &st); err != nil {
					panic(err)
				}
				st.Certificate.Serial = strings.Repeat("0", 38)
				return must(json.Marshal(st))
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			edit, dir := cached(t)
			inWorld(t, func(w *world) {
				s := w.open(edit)
				before := s.Status()
				s.Close()
				if err := f(filepath.Join(dir, stateFile)); err != nil {
					t.Fatal(err)
				}
				s = w.open(edit)
				if st := s.Status(); st.Serial != before.Serial || !st.RenewalDue.Equal(time.Now()) {
					t.Fatalf("status: %+v", st)
				}
				pass(time.Second)
				if calls := w.seen(); len(calls) != 2 || calls[1].Path != renewPath {
					t.Errorf("calls: %+v", calls)
				}
				kept := must(parseState(must(os.ReadFile(filepath.Join(dir, stateFile))), s.TrustDomain(), time.Now()))
				if kept.certificate.Serial != s.Status().Serial || kept.trust.sequence != 7 {
					t.Errorf("kept: %+v", kept)
				}
			})
		})
	}
}

// TestAProcessThatIsKilledBetweenTheFiles has one file of before and one of after a renewal.
func TestAProcessThatIsKilledBetweenTheFiles(t *testing.T) {
	for name, old := range map[string]string{"the state is old": stateFile, "the identity is old": identityFile} {
		t.Run(name, func(t *testing.T) {
			edit, dir := cached(t)
			inWorld(t, func(w *world) {
				s := w.open(edit)
				pass(time.Second)
				text := must(os.ReadFile(filepath.Join(dir, old)))
				pass(time.Until(s.Status().RenewalDue))
				pass(time.Second)
				s.Close()
				if err := os.WriteFile(filepath.Join(dir, old), text, 0o600); err != nil {
					t.Fatal(err)
				}
				s = w.open(edit)
				if st := s.Status(); st.Expired(time.Now()) || !st.RenewalDue.Equal(time.Now()) || !st.LastSuccess.IsZero() {
					t.Fatalf("status: %+v", st)
				}
				pass(time.Second)
				if calls := w.seen(); len(calls) != 3 || calls[2].Path != renewPath {
					t.Errorf("calls: %+v", calls)
				}
			})
		})
	}
}

func TestANewerBundleIsKept(t *testing.T) {
	edit, _ := cached(t)
	inWorld(t, func(w *world) {
		first := w.bundle()
		edit = both(edit, func(c *Config) { c.TrustBundle = first })
		s := w.open(edit)
		pass(time.Second)
		next := newPKI("example.org")
		w.publish(8, w.root, next.root)
		pass(2 * time.Second)
		// The next certificate is of the new root, and the old root is withdrawn.
		w.change(func() {
			*w.pki = *next
			w.serveWith(serverID, w.pki)
			w.sequence, w.roots = 9, []*x509.Certificate{next.root}
		})
		pass(time.Minute)
		if st := s.Status(); st.BundleSequence != 9 {
			t.Fatalf("status: %+v", st)
		}
		s.Close()
		w.stop()
		s = w.open(edit)
		if st := s.Status(); st.BundleSequence != 9 || len(s.Roots()) != 1 || !s.Roots()[0].Equal(next.root) {
			t.Errorf("status: %+v", st)
		}
		w.change(func() { w.sequence = 8 })
		w.up()
		pass(10 * time.Minute)
		if st := s.Status(); st.BundleSequence != 9 || !st.Following {
			t.Errorf("status: %+v", st)
		}
	})
}

func TestAskingForOtherNamesEnrols(t *testing.T) {
	for name, test := range map[string]struct {
		ca    func(w *world)
		paths []string
	}{
		"when the CA gives them": {ca: func(*world) {}, paths: []string{signPath, signPath}},
		"or renews when it does not": {ca: func(w *world) {
			w.hook = func(n int, rw http.ResponseWriter, c fakeCall) bool {
				if n > 1 && c.Path == signPath {
					writeProblem(rw, http.StatusForbidden, "policy_denied", "not these names")
					return true
				}
				return false
			}
		}, paths: []string{signPath, signPath, renewPath}},
	} {
		t.Run(name, func(t *testing.T) {
			edit, _ := cached(t)
			inWorld(t, func(w *world) {
				test.ca(w)
				s := w.open(both(edit, withJWT))
				before := s.Status().Serial
				s.Close()
				s = w.open(both(edit, withJWT, func(c *Config) { c.DNSNames = []string{"web.example.org"} }))
				if s.Status().Serial != before {
					t.Error("the cached identity was not used meanwhile")
				}
				pass(time.Second)
				var paths []string
				for _, c := range w.seen() {
					paths = append(paths, c.Path)
				}
				if diff := cmp.Diff(test.paths, paths); diff != "" || s.Status().Serial == before {
					t.Errorf("calls: %s", diff)
				}
			})
		})
	}
}

func TestAGivenCertificateAndACachedOne(t *testing.T) {
	for name, test := range map[string]struct {
		id    string
		later time.Duration
		given bool // which is used
	}{
		"the cached one is its successor":      {id: "spiffe://example.org/web", later: -10 * time.Minute},
		"the given one is newer":               {id: "spiffe://example.org/web", later: 10 * time.Minute, given: true},
		"the given one is somebody else's now": {id: "spiffe://example.org/other", later: -10 * time.Minute, given: true},
	} {
		t.Run(name, func(t *testing.T) {
			edit, _ := cached(t)
			inWorld(t, func(w *world) {
				s := w.open(edit)
				leaf := s.snapshot.Load().leaf()
				s.Close()
				w.stop()
				template := leafTemplate(test.id, time.Hour)
				template.NotBefore, template.NotAfter = leaf.NotBefore.Add(test.later), leaf.NotAfter.Add(test.later)
				given := w.identity(template)
				pass(12 * time.Minute)
				s = w.open(both(edit, func(c *Config) { c.JoinToken, c.Certificate = "", &given }))
				if used := s.snapshot.Load().leaf().SerialNumber.Cmp(given.Leaf.SerialNumber) == 0; used != test.given {
					t.Errorf("status: %+v", s.Status())
				}
			})
		})
	}
}
