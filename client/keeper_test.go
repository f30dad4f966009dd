package client

import (
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestACacheThatCannotBeWrittenStopsNothing(t *testing.T) {
	onUnix(t)
	edit, dir := cached(t)
	inWorld(t, func(w *world) {
		var book logbook
		s := w.open(both(edit, func(c *Config) { c.Log = book.logger() }))
		pass(time.Second)
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		before := s.Status().Serial
		pass(3 * time.Hour)
		st := s.Status()
		if st.Serial == before || st.LastError != nil || st.CacheError == nil || !strings.Contains(st.CacheError.Error(), "lets others in") {
			t.Errorf("status: %+v", st)
		}
		if n := book.count("identity is not kept in the cache"); n != 1 {
			t.Errorf("%d lines in the log", n)
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		pass(2 * keepRetry)
		if err := s.Status().CacheError; err != nil || book.count("kept in the cache again") != 1 {
			t.Errorf("error %v, log %s", err, book.text.String())
		}
		chain, _, err := parseIdentity(must(os.ReadFile(filepath.Join(dir, identityFile))))
		if err != nil || !chain[0].Equal(s.snapshot.Load().leaf()) {
			t.Errorf("kept %v, %v", chain, err)
		}
	})
}

func TestTheCauseOfAFailedWriteIsLoggedOnce(t *testing.T) {
	edit, dir := cached(t)
	inWorld(t, func(w *world) {
		var book logbook
		// No file can take the place of a directory that is not empty; each try has a temporary
		// file of another name.
		if err := os.MkdirAll(filepath.Join(dir, identityFile, "x"), 0o700); err != nil {
			t.Fatal(err)
		}
		s := w.open(both(edit, func(c *Config) { c.Log = book.logger() }))
		pass(time.Hour)
		if s.Status().CacheError == nil || book.count("identity is not kept in the cache") != 1 {
			t.Errorf("log: %s", book.text.String())
		}
	})
}

func TestTwoProcessesOnOneDirectory(t *testing.T) {
	edit, dir := cached(t)
	inWorld(t, func(w *world) {
		w.complain = func(format string, args ...any) {
			if format != "%d requests in flight" { // there are two workloads
				t.Errorf(format, args...)
			}
		}
		old := w.open(edit)
		pass(time.Minute)
		next := w.open(edit) // takes over what the old one has
		if old.Status().Serial != next.Status().Serial {
			t.Fatalf("serials %s and %s", old.Status().Serial, next.Status().Serial)
		}
		// The old one goes on, and each renews in its own time.
		w.change(func() {
			w.renewAt = func(leaf *x509.Certificate) time.Time { return leaf.NotBefore.Add(40 * time.Minute) }
		})
		pass(4 * time.Hour)
		if a, b := old.Status(), next.Status(); a.CacheError != nil || b.CacheError != nil || a.LastError != nil || b.LastError != nil || a.Serial == b.Serial {
			t.Errorf("statuses: %+v\n%+v", a, b)
		}
		old.Close()
		next.Close()
		w.stop()
		st := w.open(edit).Status()
		if st.Serial != old.Status().Serial && st.Serial != next.Status().Serial {
			t.Errorf("status: %+v", st)
		}
		if diff := cmp.Diff([]string{identityFile, stateFile}, namesIn(t, dir)); diff != "" {
			t.Errorf("files: %s", diff)
		}
	})
}

// TestStartsAndStopsOnOneDirectory is for the race detector, in real time.
func TestStartsAndStopsOnOneDirectory(t *testing.T) {
	f := newFakePando(t.Errorf)
	l := must(net.Listen("tcp", "127.0.0.1:0"))
	defer f.serve(l, serverID)()
	cfg := Config{Servers: []string{"https://" + l.Addr().String()}, TrustBundle: f.bundle(), JoinToken: joinToken}
	cfg.CacheDir = filepath.Join(t.TempDir(), "cache")
	first := must(Open(t.Context(), cfg))
	first.Close()
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 5 {
				s, err := Open(t.Context(), cfg)
				if err != nil {
					t.Error(err)
					return
				}
				if s.Status().Serial != first.Status().Serial {
					t.Error("the identity was not found") // and the token is used
				}
				s.Close()
			}
		})
	}
	group.Wait()
}

func TestAPolicyThatCouldNotBeWrittenIsWrittenLater(t *testing.T) {
	onUnix(t)
	edit, dir := cached(t)
	inWorld(t, func(w *world) {
		w.lifetime = 24 * time.Hour
		w.decree(permissivePolicy)
		s := w.open(edit)
		pass(time.Minute)
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		w.decree(strictPolicy)
		pass(time.Minute)
		if st := s.Status(); st.PolicyVersion != "a2" || st.CacheError == nil {
			t.Errorf("status: %+v", st)
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		pass(2 * keepRetry)
		if err := s.Status().CacheError; err != nil {
			t.Error(err)
		}
		s.Close()
		w.stop()
		s = w.open(edit)
		s.Listener(nil, ListenerConfig{Authorize: anyone, Mode: ModePolicy})
		if mode, from := modeOf(t, s); mode != ModeStrict || s.Status().PolicyVersion != "a2" {
			t.Errorf("after the restart: mode %s from %s, version %s", mode, from, s.Status().PolicyVersion)
		}
		w.up()
	})
}

// TestAnIdentityThatComesWhileTheSourceIsClosedIsKept is about a join token that is used by then.
func TestAnIdentityThatComesWhileTheSourceIsClosedIsKept(t *testing.T) {
	edit, dir := cached(t)
	inWorld(t, func(w *world) {
		var s *Source
		closed := make(chan struct{})
		begun := make(chan struct{})
		s = w.begin(both(edit, func(c *Config) {
			c.Metrics = &hooked{renewal: func(error) {
				<-begun
				go func() { defer close(closed); s.Close() }()
				time.Sleep(time.Second) // until all that waits for that end has ended
			}}
		}))
		close(begun)
		<-closed
		if diff := cmp.Diff([]string{identityFile, stateFile}, namesIn(t, dir)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
	})
}
