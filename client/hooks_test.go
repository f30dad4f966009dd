package client

import (
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// hooked is a Metrics of which a test says what it does.
type hooked struct {
	tally
	renewal func(error)
	other   func()
}

func (h *hooked) Renewal(err error) {
	h.tally.Renewal(err)
	if h.renewal != nil {
		h.renewal(err)
	}
}

func (h *hooked) Handshake(e Handshake) {
	h.tally.Handshake(e)
	h.other()
}

func (h *hooked) Connection(c Connection) {
	h.tally.Connection(c)
	h.other()
}

// TestAPanicOfTheProgramInAHandshakeEndsNothing has a handshake in goroutines in which a panic
// would end the program.
func TestAPanicOfTheProgramInAHandshakeEndsNothing(t *testing.T) {
	deny := func(Peer) error { panic("an unexpected name") }
	for name, test := range map[string]struct {
		server, client Authorizer
		metrics        func()
		hook           string // in the log
		let            int    // how many connections are let in
	}{
		"in the Authorizer of a listener": {deny, anyone, func() {}, "hook=Authorize", 0},
		"in the Authorizer of a dialer":   {anyone, deny, func() {}, "hook=Authorize", 0},
		"in the Metrics":                  {anyone, anyone, func() { panic("no such label") }, "hook=Metrics", 1},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				var book logbook
				counted := &hooked{other: test.metrics}
				s := w.open(func(c *Config) { c.Log, c.Metrics = book.logger(), counted })
				l := s.Listener(w.net.listen(webHost), ListenerConfig{Authorize: test.server})
				stop := drain(l)
				d := s.Dialer(DialerConfig{Authorize: test.client, DialContext: w.net.DialContext})
				dialed := make(chan net.Conn)
				go func() {
					conn, _ := d.DialContext(w.t.Context(), "tcp", webHost)
					dialed <- conn
				}()
				if conn := <-dialed; conn != nil {
					go io.Copy(io.Discard, conn)
					defer conn.Close()
				}
				synctest.Wait()
				let := 0
				for _, c := range counted.seen() {
					if c.Side == SideServer && c.Rejected == "" {
						let++
					}
				}
				if let != test.let || book.count(test.hook) == 0 || book.count("hooks_test.go:") == 0 {
					t.Errorf("%d are let in; log:\n%s", let, book.text.String())
				}
				stop()
			})
		})
	}
}

// TestACertificateOfNoUseIsNoSuccess has the CA give a certificate under an authority that it has
// revoked, to a Source that knows of that from its cache.
func TestACertificateOfNoUseIsNoSuccess(t *testing.T) {
	edit, dir := cached(t)
	inWorld(t, func(w *world) {
		other := newPKI("example.org")
		w.sequence, w.roots = 8, []*x509.Certificate{w.root, other.root}
		first := w.open(both(edit, withJWT))
		w.revokeAuthority(other.issuer)
		pass(time.Minute)
		first.Close()
		if err := os.Remove(filepath.Join(dir, identityFile)); err != nil {
			t.Fatal(err)
		}
		w.edit = func(_ int, c fakeCall, a *answer) {
			*a = w.answerWith(other.sign(leafTemplate(w.id, w.lifetime), c.csr.PublicKey))
		}
		var failed, tries int
		s := w.begin(both(edit, withJWT, func(c *Config) {
			c.Metrics = &hooked{renewal: func(err error) {
				if tries++; errors.Is(err, ErrRevoked) {
					failed++
				}
			}}
		}))
		pass(time.Minute)
		if st := s.Status(); isReady(s) || tries < 2 || failed != tries || st.Failures != tries {
			t.Errorf("%d failures are counted of %d tries, the status has %d", failed, tries, st.Failures)
		}
	})
}
