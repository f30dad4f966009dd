package client

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

// wallSet is t on a machine whose wall clock was set forward by d, which the monotonic clock does
// not follow. Package time has no way to make one: this is its encoding, seconds above
// nanoseconds in 30 bits.
func wallSet(t time.Time, d time.Duration) time.Time {
	*(*uint64)(unsafe.Pointer(&t)) += uint64(d/time.Second) << 30
	return t
}

func TestTheWallClockIsSet(t *testing.T) {
	now := time.Now()
	if set := wallSet(now, time.Hour); set.Sub(now) != 0 || set.Round(0).Sub(now.Round(0)) != time.Hour {
		t.Errorf("%s became %s", now, set)
	}
}

// TestAnOverrideThatComesBackWithTheClockEndsAllTheSame has the wall clock set forward, by which
// the override is over, and back. It is in real time: the clock of a bubble is not monotonic.
func TestAnOverrideThatComesBackWithTheClockEndsAllTheSame(t *testing.T) {
	s := newGuarded().here
	l := s.Listener(nil, ListenerConfig{Authorize: anyone, Mode: ModePolicy})
	defer l.Close()
	begun := time.Now()
	s.told([]byte(emergency("c1", "listen", begun.Add(200*time.Millisecond))), begun)
	s.settle(wallSet(time.Now(), 2*time.Hour))
	here, there := net.Pipe()
	go there.Write([]byte("x"))
	conn, err := l.Handshake(here)
	if err != nil {
		t.Fatalf("the override did not come back: %v", err)
	}
	defer conn.Close()
	there.SetReadDeadline(begun.Add(10 * time.Second))
	if _, err := there.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("plaintext outlives the override: %v", err)
	}
	if early := time.Until(begun.Add(200 * time.Millisecond)); early > 0 {
		t.Errorf("it was closed %s before the end", early)
	}
}

// TestPlaintextIsJudgedAfterItIsKnown is about an override that ends while a connection comes: it
// closes those that are known then, so that the others must be judged by the time afterwards.
func TestPlaintextIsJudgedAfterItIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newGuarded().here
		here, there := net.Pipe()
		defer there.Close()
		w := &watched{Conn: here, source: s}
		judged := false
		w.refused = func(now time.Time) error {
			judged = true
			if known := s.guard.plaintext(); len(known) != 1 || known[0] != w || !now.Equal(time.Now()) {
				t.Errorf("judged by %s, with %d known", now, len(known))
			}
			return nil
		}
		if err := w.letIn(); err != nil || !judged {
			t.Errorf("let in: %v, judged %t", err, judged)
		}
		w.Close()
	})
}

func TestEachOverrideOfTheProgramIsLogged(t *testing.T) {
	inModes(t, func(m *moded) {
		var book logbook
		m.here.log = book.logger()
		for _, reason := range []string{"first", "second"} {
			must(m.here.Override(time.Minute, reason))
		}
		if n := book.count("override of the mTLS modes is in force"); n != 2 || book.count("reason=second") != 1 {
			t.Errorf("log: %s", book.text.String())
		}
		pass(time.Minute)
		if n := book.count("override of the mTLS modes is over"); n != 2 {
			t.Errorf("log: %s", book.text.String())
		}
	})
}
