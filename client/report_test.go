package client

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// talk connects to the listener in plaintext, or in mutual TLS as peer.
func talk(w *world, l *Listener, peer *Source) {
	accepted := make(chan net.Conn)
	go func() { accepted <- must(l.Accept()) }()
	conn := must(w.net.DialContext(w.t.Context(), "tcp", webHost))
	if peer != nil {
		greetOver(conn, named(peer.ClientTLS(anyone)))
	} else {
		go io.WriteString(conn, "x")
	}
	there := <-accepted
	conn.Close()
	underneath(there).shut(net.ErrClosed)
}

func TestTheCAIsToldAboutListeners(t *testing.T) {
	inGuardedWorld(t, func(w *world, s, _, healthy *Source) {
		pass(time.Minute)
		if n := len(w.reported()); n != 0 {
			t.Fatalf("%d reports without a listener", n)
		}
		begun := time.Now()
		l := s.Listener(w.net.listen(webHost), ListenerConfig{Authorize: anyone, Name: "web", Mode: ModePermissive})
		defer l.Close()
		// next is the report that comes within the time of a poll; nil: none does.
		next := func() *fakeReport {
			before := len(w.reported())
			pass(pollWait + time.Second)
			switch reports := w.reported(); len(reports) - before {
			case 0:
				return nil
			case 1:
				return &reports[before]
			default:
				t.Fatalf("%d reports at once", len(reports)-before)
				return nil
			}
		}
		first := next()
		if first == nil || first.Peer != s.Status().Serial {
			t.Fatalf("report: %+v", first)
		}
		want := []reportListener{{Name: "web", Mode: ModePermissive, From: FromCode, ObservedSince: begun.UTC()}}
		if diff := cmp.Diff(want, first.Listeners); diff != "" {
			t.Errorf("report (-want +got):\n%s", diff)
		}
		if r := next(); r != nil {
			t.Errorf("nothing happened: %+v", r)
		}
		talk(w, l, healthy)
		mutual := time.Now().UTC()
		want[0].LastMTLS = &mutual
		if r := next(); r == nil || cmp.Diff(want, r.Listeners) != "" || r.Instance != first.Instance {
			t.Errorf("the first in mutual TLS: %+v", r)
		}
		talk(w, l, healthy)
		if r := next(); r != nil {
			t.Errorf("the second in mutual TLS: %+v", r)
		}
		talk(w, l, nil)
		plain := time.Now().UTC()
		asked := time.Now()
		for i := 0; ; i++ {
			if r := next(); r != nil {
				if diff := cmp.Diff(&plain, r.Listeners[0].LastPlaintext); diff != "" {
					t.Errorf("plaintext (-want +got):\n%s", diff)
				}
				break
			}
			if i > 11 {
				t.Fatal("plaintext is never told")
			}
		}
		if waited := time.Since(asked); waited > plaintextPause+pollWait {
			t.Errorf("plaintext is told after %s", waited)
		}
		talk(w, l, nil)
		if r := next(); r != nil {
			t.Errorf("more plaintext, soon after: %+v", r)
		}
		l.SetMode(ModeStrict)
		if r := next(); r == nil || r.Listeners[0].Mode != ModeStrict {
			t.Errorf("another mode: %+v", r)
		}
		serial := s.Status().Serial
		pass(25 * time.Minute)
		if reports := w.reported(); s.Status().Serial == serial || reports[len(reports)-1].Peer != s.Status().Serial {
			t.Error("with another certificate there is no report")
		}
		l.Close()
		if r := next(); r == nil || len(r.Listeners) != 0 {
			t.Errorf("closed: %+v", r)
		}
	})
}

func TestReportsThatFail(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		again  bool
	}{
		"the CA is too old":             {http.StatusNotFound, false},
		"it has no such method":         {http.StatusMethodNotAllowed, false},
		"it does not understand":        {http.StatusBadRequest, false},
		"it is busy":                    {http.StatusServiceUnavailable, true},
		"it has had enough for a while": {http.StatusTooManyRequests, true},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.noReports = test.status
				s := w.open(nil)
				s.Listener(nil, ListenerConfig{Authorize: anyone})
				pass(20 * time.Minute)
				if n := len(w.reported()); (n > 1) != test.again || n == 0 || n > 45 {
					t.Errorf("%d reports", n)
				}
				if st := s.Status(); !st.Following || st.FollowError != nil {
					t.Errorf("following %t, %v", st.Following, st.FollowError)
				}
				before := len(w.reported())
				pass(20 * time.Minute) // a renewal
				if len(w.reported()) == before {
					t.Error("no report with another certificate")
				}
			})
		})
	}
}

func TestReportsOfAFleetWithAnotherPolicyAreSpread(t *testing.T) {
	inWorld(t, func(w *world) {
		w.complain = func(string, ...any) {} // there are many workloads
		for range 20 {
			s := w.open(withJWT)
			defer s.Listener(nil, ListenerConfig{Authorize: anyone, Mode: ModePolicy}).Close()
		}
		pass(2 * pollWait)
		before := len(w.reported())
		changed := time.Now()
		w.decree(permissivePolicy)
		pass(0)
		if n := len(w.reported()) - before; n > 5 {
			t.Errorf("%d reports at one instant", n)
		}
		pass(ackSpread)
		if n := len(w.reported()) - before; n != 20 {
			t.Errorf("%d reports %s after the change", n, time.Since(changed))
		}
	})
}
