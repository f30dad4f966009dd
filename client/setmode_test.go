package client

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// passes reports whether a connection is open.
func passes(here, there net.Conn) bool {
	here.SetReadDeadline(time.Now().Add(time.Second))
	return exchangeByte(here, there) == nil
}

// TestAChangeOfTheModeClosesWhatItMust begins with a permissive listener and one connection
// of each kind.
func TestAChangeOfTheModeClosesWhatItMust(t *testing.T) {
	for name, test := range map[string]struct {
		to            Mode
		plain, mutual bool // stay open
		again         [2]Rejection
	}{
		"strict":     {ModeStrict, false, true, [2]Rejection{RejectedPlaintext, ""}},
		"permissive": {ModePermissive, true, true, [2]Rejection{"", ""}},
		"disabled":   {ModeDisabled, true, true, [2]Rejection{"", RejectedTLS}},
		"policy":     {ModePolicy, false, true, [2]Rejection{RejectedPlaintext, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			inModes(t, func(m *moded) {
				l, accepted, stop := m.listen(ListenerConfig{Mode: ModePermissive})
				text := m.dial()
				io.WriteString(text, "x")
				textThere := <-accepted
				textThere.Read(make([]byte, 1))
				dialer := m.healthy.Dialer(DialerConfig{Authorize: anyone, DialContext: m.net.DialContext})
				secure := must(dialer.DialContext(m.t.Context(), "tcp", webHost))
				drained := make(chan struct{})
				go func() { defer close(drained); secure.Read(make([]byte, 1)) }() // with the session ticket
				secureThere := <-accepted
				secureThere.Write([]byte{1})
				<-drained
				pending := m.dial() // it has said nothing before the change
				m.counted.take()

				if err := l.SetMode(test.to); err != nil {
					t.Fatal(err)
				}
				if got := passes(text, textThere); got != test.plain {
					t.Errorf("plaintext is open: %t", got)
				}
				if !test.plain {
					if _, err := textThere.Read(make([]byte, 1)); !errors.Is(err, ErrPlaintext) {
						t.Errorf("read: %v", err)
					}
				}
				if got := passes(secure, secureThere); got != test.mutual {
					t.Errorf("mutual TLS is open: %t", got)
				}
				io.WriteString(pending, "x")
				synctest.Wait()
				again := m.dial()
				greetOver(again, named(m.healthy.ClientTLS(anyone)))
				synctest.Wait()
				var got [2]Rejection
				for i, c := range m.counted.take() {
					got[i] = c.Rejected
				}
				if got != test.again {
					t.Errorf("new ones: %q, want %q", got, test.again)
				}
				for _, conn := range []net.Conn{text, secure, pending, again} {
					conn.Close()
				}
				stop()
			})
		})
	}
}

func TestAModeThatIsNoneIsRefused(t *testing.T) {
	g := newGuarded()
	l := g.here.Listener(nil, ListenerConfig{Authorize: anyone})
	for _, mode := range []Mode{"", ModeMutual, ModeSimple, "Strict", "off"} {
		if err := l.SetMode(mode); err == nil {
			t.Errorf("mode %q is set", mode)
		}
		if mode != "" && panicOf(func() { g.here.Listener(nil, ListenerConfig{Authorize: anyone, Mode: mode}) }) == "" {
			t.Errorf("a listener in mode %q", mode)
		}
	}
	for name, make := range map[string]func(){
		"mode of a listener":           func() { g.here.Dialer(DialerConfig{Authorize: anyone, Mode: ModeStrict}) },
		"an authorizer in mode simple": func() { g.here.Dialer(DialerConfig{Authorize: anyone, Mode: ModeSimple}) },
		"an authorizer when disabled":  func() { g.here.Dialer(DialerConfig{Authorize: anyone, Mode: ModeDisabled}) },
		"no authorizer when mutual":    func() { g.here.Dialer(DialerConfig{Mode: ModeMutual}) },
		"a name that is none":          func() { g.here.Dialer(DialerConfig{Authorize: anyone, Name: "A"}) },
		"a listener's name":            func() { g.here.Listener(nil, ListenerConfig{Authorize: anyone, Name: "a b"}) },
	} {
		if panicOf(make) == "" {
			t.Errorf("%s: no panic", name)
		}
	}
}

func TestListenersTellWhatTheyAccept(t *testing.T) {
	inModes(t, func(m *moded) {
		begun := time.Now()
		l, accepted, stop := m.listen(ListenerConfig{Mode: ModePermissive})
		pass(time.Minute)
		text := m.dial()
		io.WriteString(text, "x")
		<-accepted
		plainAt := time.Now()
		pass(time.Minute)
		secure := m.dial()
		greetOver(secure, named(m.healthy.ClientTLS(anyone)))
		<-accepted
		mutualAt := time.Now()
		// Another of the same name, and one that the policy has a say in.
		second := m.here.Listener(nil, ListenerConfig{Authorize: anyone})
		third := m.here.Listener(nil, ListenerConfig{Authorize: anyone, Name: "admin", Mode: ModePolicy})
		if _, err := second.Override(time.Minute, "drill"); err != nil {
			t.Fatal(err)
		}
		want := []ListenerStatus{
			{Name: "admin", Mode: ModeStrict, From: FromPolicy, Since: mutualAt},
			{Name: "default", Mode: ModePermissive, From: FromCode, Since: mutualAt, LastMTLS: mutualAt, LastPlaintext: plainAt},
		}
		if diff := cmp.Diff(want, m.here.Listeners()); diff != "" {
			t.Errorf("listeners (-want +got):\n%s", diff)
		}
		l.SetMode(ModeStrict)
		want[1].Mode, want[1].From, want[1].OverrideExpires, want[1].OverrideReason = ModePermissive, FromLocal, mutualAt.Add(time.Minute), "drill"
		if diff := cmp.Diff(want, m.here.Listeners()); diff != "" {
			t.Errorf("listeners (-want +got):\n%s", diff)
		}
		second.Close()
		want[1] = ListenerStatus{Name: "default", Mode: ModeStrict, From: FromCode, Since: begun, LastMTLS: mutualAt, LastPlaintext: plainAt}
		if diff := cmp.Diff(want, m.here.Listeners()); diff != "" {
			t.Errorf("listeners (-want +got):\n%s", diff)
		}
		third.Close()
		text.Close()
		secure.Close()
		stop()
	})
}
