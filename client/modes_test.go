package client

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// moded is a Source of a fixed identity on a network in memory, with a good peer and a bad
// one, and all that it counts.
type moded struct {
	*guarded
	t       *testing.T
	net     *memory
	counted *tally
}

// inModes runs f under a fake clock.
func inModes(t *testing.T, f func(m *moded)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := &moded{guarded: newGuarded(), t: t, net: newMemory(), counted: new(tally)}
		m.here.metrics = m.counted
		t.Cleanup(func() { pass(10 * time.Second) }) // see inWorld
		f(m)
		if open := len(m.here.guard.plaintext()); open != 0 {
			t.Errorf("%d plaintext connections are still known", open)
		}
	})
}

// listen accepts on webHost until the test is over, as strict, permissive or disabled. What
// is accepted is sent, and closed with the listener.
func (m *moded) listen(cfg ListenerConfig) (l *Listener, accepted <-chan net.Conn, stop func()) {
	cfg.Authorize = AuthorizeID(m.healthy.ID())
	l = m.here.Listener(m.net.listen(webHost), cfg)
	conns := make(chan net.Conn, 2*maxGreeted)
	done := make(chan struct{})
	var all []net.Conn
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all = append(all, conn)
			conns <- conn
		}
	}()
	return l, conns, func() {
		l.Close()
		<-done
		for _, conn := range all {
			conn.(interface{ Close() error }).Close()
		}
	}
}

// dial connects to webHost without a word.
func (m *moded) dial() net.Conn {
	return must(m.net.DialContext(m.t.Context(), "tcp", webHost))
}

// greetOver makes the handshake of a client over a connection, and leaves it open.
func greetOver(conn net.Conn, config *tls.Config) (*tls.Conn, error) {
	secure := tls.Client(conn, config)
	err := secure.Handshake()
	go secure.Read(make([]byte, 1)) // the session ticket is under way until somebody reads
	return secure, err
}

// TestWhatIsAccepted is each mode against each beginning of a connection.
func TestWhatIsAccepted(t *testing.T) {
	says := func(text string, end bool) func(*moded, net.Conn) {
		return func(_ *moded, conn net.Conn) {
			go io.Copy(io.Discard, conn) // in case that there is an answer
			io.WriteString(conn, text)
			if end {
				conn.Close()
			}
		}
	}
	plain := [3]string{"plaintext", "accepted", "accepted"}
	failed := [3]string{"handshake", "handshake", "handshake"}
	failedTLS := [3]string{"handshake", "handshake", "tls"}
	slow := [3]string{"timeout", "timeout", "timeout"}
	for name, test := range map[string]struct {
		peer func(m *moded, conn net.Conn)
		want [3]string // strict, permissive, disabled
	}{
		"mutual TLS": {func(m *moded, conn net.Conn) { greetOver(conn, named(m.healthy.ClientTLS(anyone))) }, [3]string{"accepted", "accepted", "tls"}},
		"mutual TLS of somebody who is not allowed": {func(m *moded, conn net.Conn) { greetOver(conn, named(m.bad.ClientTLS(anyone))) }, failedTLS},
		"TLS without a certificate":                 {func(_ *moded, conn net.Conn) { greetOver(conn, &tls.Config{InsecureSkipVerify: true}) }, failedTLS},
		"an old TLS": {func(_ *moded, conn net.Conn) {
			greetOver(conn, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
		}, failedTLS},
		"HTTP":                              {says("GET / HTTP/1.1\r\n\r\n", false), plain},
		"HTTP/2 with prior knowledge":       {says("PRI * HTTP/2.0\r\n\r\n", false), plain},
		"one octet":                         {says("x", false), plain},
		"one octet and the end":             {says("x", true), plain},
		"a NUL":                             {says("\x00", false), plain},
		"a hello of SSL 2":                  {says("\x80\x2e\x01\x03\x01", false), plain},
		"another record than a handshake":   {says("\x17\x03\x03\x00\x05hello", false), plain},
		"a version that TLS never had":      {says("\x16\x02\x00\x00\x05hello", false), plain},
		"a record that makes no sense":      {says("\x16\x03\x01\x00\x05hello", true), failedTLS},
		"a record that is cut short":        {says("\x16\x03", true), failedTLS},
		"the first octet of TLS, no second": {says("\x16", true), failed},
		"nothing":                           {says("", true), failed},
		"silence":                           {says("", false), slow},
		"one octet of TLS, and silence":     {says("\x16", false), slow},
		"a record without an end":           {says("\x16\x03\x01\x02\x00\x01", false), [3]string{"timeout", "timeout", "tls"}},
	} {
		for i, mode := range []Mode{ModeStrict, ModePermissive, ModeDisabled} {
			t.Run(name+", "+string(mode), func(t *testing.T) {
				inModes(t, func(m *moded) {
					l, accepted, stop := m.listen(ListenerConfig{Mode: mode, Name: "web"})
					conn, begun := m.dial(), time.Now()
					defer conn.Close()
					go test.peer(m, conn)
					for synctest.Wait(); len(m.counted.seen()) == 0; pass(time.Second) {
						if time.Since(begun) > greetTimeout {
							t.Fatal("no verdict")
						}
					}
					got, security := string(m.counted.seen()[0].Rejected), m.counted.seen()[0].Security
					if got == "" {
						got = "accepted"
					}
					synctest.Wait()
					if got != test.want[i] || (len(accepted) == 1) != (got == "accepted") || (security == "") != (got != "accepted") {
						t.Errorf("%s with security %q, %d accepted, want %s", got, security, len(accepted), test.want[i])
					}
					if waited := time.Since(begun); (got == "timeout") != (waited == greetTimeout) || waited != 0 && waited != greetTimeout {
						t.Errorf("after %s", waited)
					}
					if c := m.counted.seen()[0]; c.Mode != mode || c.Name != "web" || c.Side != SideServer || l.acceptor.greeted.Len() != 0 {
						t.Errorf("connection %+v, %d are pending", c, l.acceptor.greeted.Len())
					}
					stop()
				})
			})
		}
	}
}

func TestWhatWasReadToTellIsReadAgain(t *testing.T) {
	const text = "x: a line that is longer than what is looked at, and \x16\x03 in it\n"
	inModes(t, func(m *moded) {
		_, accepted, stop := m.listen(ListenerConfig{Mode: ModePermissive})
		for _, chunk := range []int{1, 3, sniffed, len(text)} {
			conn := m.dial()
			go func() {
				for rest := text; rest != ""; rest = rest[min(chunk, len(rest)):] {
					io.WriteString(conn, rest[:min(chunk, len(rest))])
				}
				conn.Close()
			}()
			got := must(io.ReadAll(iotestOneByte{<-accepted}))
			if string(got) != text {
				t.Errorf("in chunks of %d: %q", chunk, got)
			}
		}
		stop()
	})
}

// iotestOneByte reads one octet at a time.
type iotestOneByte struct{ io.Reader }

func (r iotestOneByte) Read(b []byte) (int, error) { return r.Reader.Read(b[:min(1, len(b))]) }

// TestNobodyStallsAccept has as many silent peers as a listener bears, and one more.
func TestNobodyStallsAccept(t *testing.T) {
	inModes(t, func(m *moded) {
		_, accepted, stop := m.listen(ListenerConfig{Mode: ModePermissive})
		var silent []net.Conn
		for i := range maxGreeted {
			conn := m.dial()
			if i%2 == 1 {
				io.WriteString(conn, "\x16")
			}
			silent = append(silent, conn)
			if i == 0 {
				pass(time.Second) // it is the oldest
			}
		}
		synctest.Wait()
		honest := m.dial()
		defer honest.Close()
		if _, err := greetOver(honest, named(m.healthy.ClientTLS(anyone))); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		text := m.dial()
		defer text.Close()
		io.WriteString(text, "hello")
		synctest.Wait()
		if len(accepted) != 2 {
			t.Fatalf("%d accepted", len(accepted))
		}
		// The oldest has given way to the first of the two; the second found its place.
		if _, err := silent[0].Read(make([]byte, 1)); err == nil {
			t.Error("the oldest is still there")
		}
		want := []Connection{
			{Side: SideServer, Name: "default", Mode: ModePermissive, Rejected: RejectedOverload},
			{Side: SideServer, Name: "default", Mode: ModePermissive, Security: SecurityMTLS},
			{Side: SideServer, Name: "default", Mode: ModePermissive, Security: SecurityPlaintext},
		}
		if diff := cmp.Diff(want, m.counted.take()); diff != "" {
			t.Errorf("connections (-want +got):\n%s", diff)
		}
		pass(greetTimeout)
		if timeouts := m.counted.take(); len(timeouts) != maxGreeted-1 || timeouts[0].Rejected != RejectedTimeout {
			t.Errorf("%d: %+v", len(timeouts), timeouts[0])
		}
		stop()
	})
}

// TestAcceptThatIsNotCalledHoldsUpTheListenerUnderneath bounds what waits for the program.
func TestAcceptThatIsNotCalledHoldsUpTheListenerUnderneath(t *testing.T) {
	inModes(t, func(m *moded) {
		l := m.here.Listener(m.net.listen(webHost), ListenerConfig{Authorize: anyone, Mode: ModeDisabled})
		var group sync.WaitGroup
		const more = 5
		var first net.Conn
		for i := range maxReady + 1 + more {
			group.Go(func() {
				if conn, err := m.net.DialContext(m.t.Context(), "tcp", webHost); err == nil {
					io.WriteString(conn, "x")
					conn.Read(make([]byte, 1)) // until it is closed
					conn.Close()
				}
			})
			if i == 0 {
				first = must(l.Accept()) // and not again
			}
			synctest.Wait()
		}
		if ready, taken := len(l.acceptor.ready), len(m.counted.seen()); ready != maxReady || taken != maxReady+2 { // with the one that was accepted, and one in hand
			t.Errorf("%d of %d wait", ready, taken)
		}
		for range more {
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			conn.Close()
		}
		first.Close()
		l.Close() // closes those that nobody has accepted
		group.Wait()
	})
}

func TestAnAuthorizerThatPanicsHasRefused(t *testing.T) {
	inModes(t, func(m *moded) {
		l := m.here.Listener(m.net.listen(webHost), ListenerConfig{Authorize: func(Peer) error { panic("oops") }, Mode: ModePermissive})
		stop := drain(l)
		conn := m.dial()
		defer conn.Close()
		greetOver(conn, named(m.healthy.ClientTLS(anyone)))
		synctest.Wait()
		want := []Connection{{Side: SideServer, Name: "default", Mode: ModePermissive, Rejected: RejectedHandshake}}
		if diff := cmp.Diff(want, m.counted.seen()); diff != "" {
			t.Errorf("connections (-want +got):\n%s", diff)
		}
		if known, pending := len(m.here.guard.open()), l.acceptor.greeted.Len(); known+pending != 0 {
			t.Errorf("%d connections are known, %d are pending", known, pending)
		}
		stop()
	})
}

func TestCloseEndsWhatIsGoingOn(t *testing.T) {
	inModes(t, func(m *moded) {
		l, accepted, stop := m.listen(ListenerConfig{Mode: ModePermissive})
		silent, text := m.dial(), m.dial()
		io.WriteString(text, "hello")
		conn := <-accepted
		l.Close()
		if _, err := silent.Read(make([]byte, 1)); err == nil {
			t.Error("the silent one is still there")
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v", err)
		}
		if err := exchangeByte(text, conn); err != nil {
			t.Errorf("the one that was accepted: %v", err)
		}
		if listeners := m.here.Listeners(); len(listeners) != 0 {
			t.Errorf("listeners: %+v", listeners)
		}
		stop() // closes it again
		never := m.here.Listener(nil, ListenerConfig{Authorize: anyone})
		if err := never.Close(); err != nil {
			t.Errorf("without a listener underneath: %v", err)
		}
	})
}

// moody is a listener whose Accept fails as it is told.
type moody struct {
	net.Listener
	errs chan error
}

func (l *moody) Accept() (net.Conn, error) {
	select {
	case err := <-l.errs:
		return nil, err
	default:
		return l.Listener.Accept()
	}
}

func TestErrorsOfTheListenerUnderneathAreThoseOfAccept(t *testing.T) {
	inModes(t, func(m *moded) {
		inner := &moody{m.net.listen(webHost), make(chan error, 3)}
		temporary := errors.New("too many open files")
		inner.errs <- temporary
		inner.errs <- temporary
		l := m.here.Listener(inner, ListenerConfig{Authorize: anyone, Mode: ModePermissive})
		defer l.Close()
		for range 2 {
			if _, err := l.Accept(); !errors.Is(err, temporary) {
				t.Errorf("Accept: %v", err)
			}
		}
		text := m.dial()
		defer text.Close()
		go io.WriteString(text, "hello")
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		inner.Listener.Close() // by somebody else
		for range 2 {
			if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Accept: %v", err)
			}
		}
	})
}

func TestAStrictListenerAnswersHTTPInPlaintext(t *testing.T) {
	for text, want := range map[string]bool{"GET / HTTP/1.1\r\n\r\n": true, "OPTIONS * HTTP/1.1\r\n\r\n": true, "EHLO me\r\n": false, "GET": false} {
		t.Run(text, func(t *testing.T) {
			inModes(t, func(m *moded) {
				_, _, stop := m.listen(ListenerConfig{})
				conn := m.dial()
				go io.WriteString(conn, text)
				got, _ := io.ReadAll(conn)
				if strings.HasPrefix(string(got), "HTTP/1.1 400 ") != want || !want && len(got) > 0 {
					t.Errorf("answer %q", got)
				}
				stop()
			})
		})
	}
}
