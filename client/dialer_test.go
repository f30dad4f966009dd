package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// website is a server of the web that asks for a client certificate and counts those that it gets.
type website struct {
	*httptest.Server
	asked, shown atomic.Int64
}

func newWebsite(t *testing.T, edit func(c *tls.Config)) *website {
	s := new(website)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.shown.Add(int64(len(r.TLS.PeerCertificates)))
		s.asked.Add(1)
		fmt.Fprint(w, r.Proto)
	}))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = discard()
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	if edit != nil {
		edit(s.TLS)
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func (s *website) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())
	return pool
}

// TestModeSimpleNeverShowsTheCertificate has servers that ask for one in each way in which TLS can.
func TestModeSimpleNeverShowsTheCertificate(t *testing.T) {
	g := newGuarded()
	authorities := x509.NewCertPool()
	authorities.AddCert(g.good.root)
	for name, test := range map[string]struct {
		edit func(c *tls.Config)
		want string // how it talks; "": the server insists, and does not get one
	}{
		"it asks for any":              {nil, "HTTP/2.0"},
		"it asks in TLS 1.2":           {func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, "HTTP/2.0"},
		"it asks for one of this CA":   {func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.VerifyClientCertIfGiven, authorities }, "HTTP/2.0"},
		"it insists on any":            {func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }, ""},
		"it insists on this CA's":      {func(c *tls.Config) { c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, authorities }, ""},
		"it has no TLS that is recent": {func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			site := newWebsite(t, test.edit)
			b := browse(t, g.here, DialerConfig{Mode: ModeSimple, Roots: site.roots(), NextProtos: []string{"h2", "http/1.1"}})
			err := b.fetch(site.Listener.Addr().String(), test.want)
			if (err == nil) != (test.want != "") || site.shown.Load() != 0 || (site.asked.Load() == 0) != (test.want == "") {
				t.Errorf("%v; asked %d times, shown %d certificates", err, site.asked.Load(), site.shown.Load())
			}
		})
	}
}

func TestModeSimpleVerifiesTheServer(t *testing.T) {
	g := newGuarded()
	counted := new(tally)
	g.here.metrics = counted
	site := newWebsite(t, nil)
	address := site.Listener.Addr().String()
	for name, test := range map[string]struct {
		roots *x509.CertPool
		name  string
		want  Reason
	}{
		"all is well":        {site.roots(), "127.0.0.1", ""},
		"another host":       {site.roots(), "elsewhere.test", ReasonOther},
		"no host":            {site.roots(), "", ReasonOther},
		"another root":       {x509.NewCertPool(), "127.0.0.1", ReasonUnknownAuthority},
		"the system's roots": {nil, "127.0.0.1", ReasonUnknownAuthority},
	} {
		t.Run(name, func(t *testing.T) {
			counted.handshakes, counted.connections = nil, nil
			d := g.here.Dialer(DialerConfig{Mode: ModeSimple, Roots: test.roots, Name: "web"})
			raw := must((&net.Dialer{}).DialContext(t.Context(), "tcp", address))
			conn, err := d.Client(t.Context(), raw, test.name)
			if (err == nil) != (test.want == "") {
				t.Fatal(err)
			}
			want := Connection{Side: SideClient, Name: "web", Mode: ModeSimple, Security: SecurityTLS}
			if err != nil {
				want.Security, want.Rejected = "", RejectedHandshake
			} else {
				if security, peer := ConnSecurity(conn); security != SecurityTLS || peer.Certificate != nil {
					t.Errorf("security %s of %v", security, peer.ID)
				}
				conn.Close()
			}
			if diff := cmp.Diff([]Connection{want}, counted.seen()); diff != "" || len(counted.handshakes) != 1 || counted.handshakes[0].Reason != test.want {
				t.Errorf("handshakes %+v; connections (-want +got):\n%s", counted.handshakes, diff)
			}
			if _, err := raw.Write(nil); test.want != "" && !errors.Is(err, net.ErrClosed) {
				t.Errorf("the connection is open: %v", err)
			}
		})
	}
}

// TestPlaintextIsDialledOnlyWhenCodeAndPolicyAllowIt follows one dialer of each kind
// through what the CA says.
func TestPlaintextIsDialledOnlyWhenCodeAndPolicyAllowIt(t *testing.T) {
	inWorld(t, func(w *world) {
		counted := new(tally)
		s := w.open(func(c *Config) { c.Metrics = counted })
		l := s.Listener(w.net.listen(webHost), ListenerConfig{Authorize: anyone, Mode: ModePermissive})
		stop := drain(l)
		defer stop()
		disabled := DialerConfig{Mode: ModeDisabled}
		emergent := DialerConfig{Authorize: anyone, AllowPlaintext: true}
		mutual := DialerConfig{Authorize: anyone}
		expect := func(what string, cfg DialerConfig, want Security) net.Conn {
			t.Helper()
			cfg.DialContext, cfg.Name = w.net.DialContext, "db"
			conn, err := s.Dialer(cfg).DialContext(w.t.Context(), "tcp", webHost)
			if err != nil {
				if want != "" || !errors.Is(err, ErrPlaintext) {
					t.Errorf("%s: %v", what, err)
				}
				return nil
			}
			w.t.Cleanup(func() { underneath(conn).shut(net.ErrClosed) })
			if !alive(conn) { // and the listener wants to hear something
				t.Errorf("%s: it is closed", what)
			}
			if got, _ := ConnSecurity(conn); got != want {
				t.Errorf("%s: security %q, want %q", what, got, want)
			}
			return conn
		}
		pass(time.Minute)
		expect("disabled, without a policy", disabled, "")
		expect("emergent, without a policy", emergent, SecurityMTLS)

		w.decree(permissivePolicy)
		pass(time.Second)
		open := expect("disabled, with a rule", disabled, SecurityPlaintext)
		expect("emergent, with a rule", emergent, SecurityMTLS)
		expect("mutual, with a rule", mutual, SecurityMTLS)
		pass(time.Hour)
		if !alive(open) {
			t.Error("plaintext was closed, and is allowed")
		}
		w.decree(strictPolicy)
		pass(time.Second)
		if alive(open) {
			t.Error("plaintext is open, and not allowed any more")
		}
		if _, err := open.Write([]byte("x")); !errors.Is(err, ErrPlaintext) {
			t.Errorf("write: %v", err)
		}
		expect("disabled, without a rule", disabled, "")

		ends := time.Now().Add(10 * time.Minute)
		w.decree(emergency("c1", "dial", ends))
		pass(time.Second)
		first := expect("disabled, with an override", disabled, SecurityPlaintext)
		second := expect("emergent, with an override", emergent, SecurityPlaintext)
		third := expect("mutual, with an override", mutual, SecurityMTLS)
		pass(time.Until(ends) - 1)
		if !alive(first) || !alive(second) {
			t.Error("plaintext was closed too early")
		}
		pass(1)
		if alive(first) || alive(second) || !alive(third) {
			t.Error("plaintext is open, or mutual TLS is not")
		}
		expect("disabled, afterwards", disabled, "")
		expect("emergent, afterwards", emergent, SecurityMTLS)
		var dialled []Connection
		for _, c := range counted.seen() {
			if c.Side == SideClient {
				dialled = append(dialled, c)
			}
		}
		was := func(mode Mode, security Security) Connection {
			return Connection{Side: SideClient, Name: "db", Mode: mode, Security: security}
		}
		want := []Connection{
			was(ModeMutual, SecurityMTLS),
			was(ModeDisabled, SecurityPlaintext), was(ModeMutual, SecurityMTLS), was(ModeMutual, SecurityMTLS),
			was(ModeDisabled, SecurityPlaintext), was(ModeMutual, SecurityPlaintext), was(ModeMutual, SecurityMTLS),
			was(ModeMutual, SecurityMTLS),
		}
		if diff := cmp.Diff(want, dialled); diff != "" {
			t.Errorf("connections (-want +got):\n%s", diff)
		}
	})
}

// drain accepts and reads everything.
func drain(l net.Listener) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(io.Discard, conn)
				underneath(conn).shut(net.ErrClosed)
			}()
		}
	}()
	return func() { l.Close(); <-done }
}

// alive reports whether a connection takes something.
func alive(conn net.Conn) bool {
	_, err := conn.Write([]byte("x"))
	return err == nil
}

func TestTLSThatFailsIsNotFollowedByPlaintext(t *testing.T) {
	inModes(t, func(m *moded) {
		_, accepted, stop := m.listen(ListenerConfig{Mode: ModePermissive})
		m.bad.Override(time.Hour, "drill")
		d := m.bad.Dialer(DialerConfig{Authorize: anyone, DialContext: m.net.DialContext}) // the code does not allow it
		conn, err := d.DialContext(m.t.Context(), "tcp", webHost)
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
			underneath(conn).shut(net.ErrClosed)
		}
		synctest.Wait()
		if err == nil || len(accepted) != 0 || len(m.net.addresses()) != 1 {
			t.Errorf("%v, %d accepted, dialled %q", err, len(accepted), m.net.addresses())
		}
		// And a dialer whose code allows it, without an override, does not either.
		d = m.healthy.Dialer(DialerConfig{Authorize: AuthorizeID(), AllowPlaintext: true, DialContext: m.net.DialContext})
		if _, err := d.DialContext(m.t.Context(), "tcp", webHost); !errors.Is(err, errNotAllowed) {
			t.Errorf("error %v", err)
		}
		synctest.Wait()
		if len(accepted) != 0 || len(m.net.addresses()) != 2 {
			t.Errorf("%d accepted, dialled %q", len(accepted), m.net.addresses())
		}
		stop()
	})
}

func TestADisabledDialerHasNoTLS(t *testing.T) {
	g := newGuarded()
	here, there := net.Pipe()
	defer there.Close()
	if _, err := g.here.Dialer(DialerConfig{Mode: ModeDisabled}).Client(t.Context(), here, "x"); err == nil {
		t.Error("there is a handshake")
	}
	if _, err := here.Write(nil); err == nil {
		t.Error("the connection is open")
	}
}

func TestPlaintextConnectionsHaveAMaximumAgeToo(t *testing.T) {
	inModes(t, func(m *moded) {
		must(m.here.Override(time.Hour, "drill"))
		l := m.here.Listener(m.net.listen(webHost), ListenerConfig{Authorize: anyone, Mode: ModePermissive, MaxConnectionAge: 10 * time.Minute})
		stop := drain(l)
		d := m.here.Dialer(DialerConfig{Mode: ModeDisabled, MaxConnectionAge: 10 * time.Minute, DialContext: m.net.DialContext})
		conn := must(d.DialContext(context.WithoutCancel(m.t.Context()), "tcp", webHost))
		conn.Write([]byte("x"))
		begun := time.Now()
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("something came")
		}
		if age := time.Since(begun); age < 9*time.Minute || age > 11*time.Minute+1 {
			t.Errorf("age %s", age)
		}
		pass(2 * time.Minute)
		stop()
	})
}
