package client

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// openssl is the real one, which the tests need: without it they fail. Its peers are in files.
type openssl struct {
	dir  string
	env  []string
	here *Source // spiffe://example.org/web
}

// newOpenssl makes both sides, of which ours has this key.
func newOpenssl(t *testing.T, key crypto.Signer) *openssl {
	t.Helper()
	p := newPKI("example.org")
	o := &openssl{dir: t.TempDir(), env: os.Environ()}
	o.here = fixed(rootsOf(1, p), keyPair(p.sign(leafTemplate("spiffe://example.org/web", time.Hour), key.Public()), key))
	for name, key := range map[string]crypto.Signer{"peer": newTestKey(), "rsa": rsaKey()} {
		chain := p.sign(leafTemplate("spiffe://example.org/peer", time.Hour), key.Public())
		der := must(x509.MarshalPKCS8PrivateKey(key))
		o.write(t, name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
		o.write(t, name+".pem", encodePEM(chain[0]))
		o.write(t, "chain.pem", encodePEM(chain[1:]...))
	}
	o.write(t, "roots.pem", string(p.bundle()))
	return o
}

func rsaKey() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 2048)) }

func (o *openssl) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(o.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// unbound makes openssl do without the extended master secret.
func (o *openssl) unbound(t *testing.T) {
	o.write(t, "openssl.cnf", "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nOptions = -ExtendedMasterSecret\n")
	o.env = append(o.env, "OPENSSL_CONF="+filepath.Join(o.dir, "openssl.cnf"))
}

func (o *openssl) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "openssl", args...)
	cmd.Dir, cmd.Env = o.dir, o.env
	return cmd
}

// files are the arguments by which a side of openssl has its identity.
func files(name string) []string {
	return []string{"-cert", name + ".pem", "-key", name + ".key", "-cert_chain", "chain.pem", "-CAfile", "roots.pem"}
}

// suites12Of lists what openssl can do in TLS 1.2, as it calls it.
func (o *openssl) suites12Of(t *testing.T) []string {
	t.Helper()
	out, err := o.command(t.Context(), "ciphers", "-tls1_2", "-s", "ALL:COMPLEMENTOFALL:@SECLEVEL=0").Output()
	if err != nil {
		t.Fatal(err)
	}
	suites := strings.Split(strings.TrimSpace(string(out)), ":")
	suites = slices.DeleteFunc(suites, func(s string) bool { return strings.HasPrefix(s, "TLS_") }) // those of 1.3
	if len(suites) < 50 {
		t.Fatalf("openssl knows %d cipher suites only", len(suites))
	}
	return suites
}

// allowed12 are those of suites12 for one kind of key, as openssl calls them.
func allowed12(kind string) []string {
	return []string{"ECDHE-" + kind + "-AES128-GCM-SHA256", "ECDHE-" + kind + "-AES256-GCM-SHA384", "ECDHE-" + kind + "-CHACHA20-POLY1305"}
}

// ask has s_client connect to a Listener, and returns what came of it on this side.
func (o *openssl) ask(t *testing.T, l *Listener, stdin string, args ...string) (state tls.ConnectionState, output string, err error) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		raw, err := l.inner.Accept()
		if err != nil {
			done <- err
			return
		}
		conn, err := l.Handshake(raw)
		if err != nil {
			done <- err
			return
		}
		defer conn.Close()
		secure := conn.(*tls.Conn)
		state = secure.ConnectionState()
		_, err = io.WriteString(secure, "hello\n")
		if err == nil && stdin != "" {
			_, err = io.ReadAll(secure)
		}
		done <- err
	}()
	args = append(append([]string{"s_client", "-connect", l.Addr().String()}, files("peer")...), args...)
	cmd := o.command(t.Context(), args...)
	var said bytes.Buffer
	in := must(cmd.StdinPipe())
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	io.WriteString(in, stdin)
	err = <-done
	in.Close()
	_ = cmd.Wait() // it says nothing that the output does not
	return state, said.String(), err
}

// server is a running s_server.
type opensslServer struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	address string
	reading sync.WaitGroup
}

// serve starts s_server, which wants a certificate.
func (o *openssl) serve(t *testing.T, name string, args ...string) *opensslServer {
	t.Helper()
	args = append(append([]string{"s_server", "-accept", "127.0.0.1:0", "-Verify", "4", "-verify_return_error"}, files(name)...), args...)
	s := &opensslServer{cmd: o.command(t.Context(), args...)}
	var complaint bytes.Buffer
	s.cmd.Stderr = &complaint
	s.in = must(s.cmd.StdinPipe())
	out := bufio.NewReader(must(s.cmd.StdoutPipe()))
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for s.address == "" {
		line, err := out.ReadString('\n')
		if err != nil {
			t.Fatalf("s_server: %v %s", s.cmd.Wait(), complaint.String())
		}
		s.address, _ = strings.CutPrefix(strings.TrimSpace(line), "ACCEPT ")
		if !strings.Contains(s.address, ":") {
			s.address = ""
		}
	}
	s.reading.Go(func() { io.Copy(io.Discard, out) })
	return s
}

func (s *opensslServer) stop() {
	s.cmd.Process.Kill()
	s.reading.Wait()
	_ = s.cmd.Wait() // it was killed
}

// dial makes one connection to a server.
func (s *opensslServer) dial(t *testing.T, d *Dialer) (conn *tls.Conn, err error) {
	t.Helper()
	raw, err := d.DialContext(t.Context(), "tcp", s.address)
	if err != nil {
		return nil, err
	}
	return raw.(*tls.Conn), nil
}

// offers are the handshakes that openssl offers, and with which configuration they succeed.
func offers() map[string]struct {
	min  uint16
	args []string
	want uint16 // 0: refused
} {
	type offer = struct {
		min  uint16
		args []string
		want uint16
	}
	level0 := []string{"-cipher", "ALL:@SECLEVEL=0"}
	return map[string]offer{
		"by default, 1.3":                         {0, []string{"-tls1_3"}, tls.VersionTLS13},
		"by default, 1.2":                         {0, []string{"-tls1_2"}, 0},
		"by default, all":                         {0, nil, tls.VersionTLS13},
		"1.3 on request, 1.2":                     {tls.VersionTLS13, []string{"-tls1_2"}, 0},
		"1.2 on request, all":                     {tls.VersionTLS12, nil, tls.VersionTLS13},
		"1.2 on request, 1.3":                     {tls.VersionTLS12, []string{"-tls1_3"}, tls.VersionTLS13},
		"1.2 on request, 1.2":                     {tls.VersionTLS12, []string{"-tls1_2"}, tls.VersionTLS12},
		"1.2 on request, 1.1":                     {tls.VersionTLS12, append([]string{"-tls1_1"}, level0...), 0},
		"1.2 on request, 1.0":                     {tls.VersionTLS12, append([]string{"-tls1"}, level0...), 0},
		"X25519 in 1.3":                           {0, []string{"-tls1_3", "-groups", "X25519"}, tls.VersionTLS13},
		"P-256 in 1.3":                            {0, []string{"-tls1_3", "-groups", "P-256"}, tls.VersionTLS13},
		"P-521 in 1.3":                            {0, []string{"-tls1_3", "-groups", "P-521"}, 0},
		"a finite field in 1.3":                   {0, []string{"-tls1_3", "-groups", "ffdhe2048"}, 0},
		"X25519 in 1.2":                           {tls.VersionTLS12, []string{"-tls1_2", "-groups", "X25519:P-256"}, tls.VersionTLS12},
		"P-256 in 1.2":                            {tls.VersionTLS12, []string{"-tls1_2", "-groups", "P-256"}, tls.VersionTLS12},
		"AES-256 in 1.3":                          {0, []string{"-ciphersuites", "TLS_AES_256_GCM_SHA384"}, tls.VersionTLS13},
		"ChaCha20 in 1.3":                         {0, []string{"-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"}, tls.VersionTLS13},
		"CCM, which is not implemented, in 1.3":   {0, []string{"-ciphersuites", "TLS_AES_128_CCM_SHA256", "-tls1_3"}, 0},
		"nothing that is not older than 1.2":      {tls.VersionTLS12, append([]string{"-no_tls1_2", "-no_tls1_3"}, level0...), 0},
		"forward secrecy, but CBC":                {tls.VersionTLS12, []string{"-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"}, 0},
		"a choice, of which one is good":          {tls.VersionTLS12, []string{"-tls1_2", "-cipher", "AES128-SHA:ECDHE-ECDSA-AES128-GCM-SHA256"}, tls.VersionTLS12},
		"a choice of 1.2 for who speaks 1.3 only": {0, []string{"-cipher", "AES128-SHA"}, tls.VersionTLS13},
	}
}

func TestOpenSSLAsksAListener(t *testing.T) {
	o := newOpenssl(t, newTestKey())
	for name, test := range offers() {
		t.Run(name, func(t *testing.T) {
			l := listenOn(o.here, ListenerConfig{Authorize: AuthorizeID(mustID("spiffe://example.org/peer")), MinVersion: test.min})
			defer l.Close()
			state, output, err := o.ask(t, l, "", test.args...)
			if state.Version != test.want || (err == nil) != (test.want != 0) {
				t.Errorf("version %#x, want %#x: %v\n%s", state.Version, test.want, err, output)
			}
			if err != nil && ReasonOf(err, time.Now()) != ReasonVersionOrCipher {
				t.Errorf("reason %q of %v", ReasonOf(err, time.Now()), err)
			}
		})
	}
}

func TestADialerAsksOpenSSL(t *testing.T) {
	o := newOpenssl(t, newTestKey())
	for name, test := range offers() {
		t.Run(name, func(t *testing.T) {
			server := o.serve(t, "peer", test.args...)
			defer server.stop()
			d := o.here.Dialer(DialerConfig{Authorize: AuthorizeID(mustID("spiffe://example.org/peer")), MinVersion: test.min})
			conn, err := server.dial(t, d)
			if (err == nil) != (test.want != 0) {
				t.Fatalf("%v, want version %#x", err, test.want)
			}
			if err != nil {
				return
			}
			defer conn.Close()
			if state := conn.ConnectionState(); state.Version != test.want {
				t.Errorf("version %#x, want %#x", state.Version, test.want)
			}
		})
	}
}

// TestTLS12HasModernSuitesOnly tries every cipher suite that openssl has, on either side.
func TestTLS12HasModernSuitesOnly(t *testing.T) {
	for kind, key := range map[string]crypto.Signer{"ECDSA": newTestKey(), "RSA": rsaKey()} {
		o := newOpenssl(t, key)
		config := o.here.ServerTLS(anyone)
		config.MinVersion = tls.VersionTLS12 // and nothing else
		here := o.here.ClientTLS(anyone)
		here.MinVersion = tls.VersionTLS12
		certificate := map[string]string{"ECDSA": "peer", "RSA": "rsa"}[kind]
		l := listenOn(o.here, ListenerConfig{Authorize: anyone, MinVersion: tls.VersionTLS12})
		defer l.Close()
		var served, asked []string
		for _, suite := range o.suites12Of(t) {
			args := []string{"-tls1_2", "-cipher", suite + ":@SECLEVEL=0"}
			if state, _, err := o.ask(t, l, "", args...); err == nil && state.Version == tls.VersionTLS12 {
				served = append(served, suite)
			}
			server := o.serve(t, certificate, args...)
			if conn, err := tls.Dial("tcp", server.address, named(here.Clone())); err == nil {
				asked = append(asked, suite)
				conn.Close()
			}
			server.stop()
		}
		want := allowed12(kind)
		for side, got := range map[string][]string{"server": served, "client": asked} {
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%s with a key of %s: %v, want %v", side, kind, got, want)
			}
		}
		if !slices.Equal(config.CipherSuites, suites12()) || !slices.Equal(config.CurvePreferences, keyExchanges()) {
			t.Errorf("ServerTLS has %v and %v", config.CipherSuites, config.CurvePreferences)
		}
	}
}

func TestTLS12WithoutTheExtendedMasterSecret(t *testing.T) {
	o := newOpenssl(t, newTestKey())
	o.unbound(t)
	l := listenOn(o.here, ListenerConfig{Authorize: anyone, MinVersion: tls.VersionTLS12})
	defer l.Close()
	if _, output, err := o.ask(t, l, "", "-tls1_2"); !errors.Is(err, errNoExtendedMasterSecret) {
		t.Errorf("a client: %v\n%s", err, output)
	}
	if state, output, err := o.ask(t, l, "", "-tls1_3"); err != nil || state.Version != tls.VersionTLS13 {
		t.Errorf("a client in TLS 1.3, which has no need of it: %v\n%s", err, output)
	}
	server := o.serve(t, "peer", "-tls1_2")
	defer server.stop()
	d := o.here.Dialer(DialerConfig{Authorize: anyone, MinVersion: tls.VersionTLS12, SessionCache: tls.NewLRUClientSessionCache(1)})
	for i, refused := range []bool{false, true} {
		conn, err := server.dial(t, d)
		if errors.Is(err, errNoExtendedMasterSecret) != refused || !refused && err != nil {
			t.Errorf("handshake %d: %v", i, err)
		}
		if conn != nil {
			conn.Close()
		}
	}
}

func TestNobodyRenegotiates(t *testing.T) {
	o := newOpenssl(t, newTestKey())
	l := listenOn(o.here, ListenerConfig{Authorize: anyone, MinVersion: tls.VersionTLS12})
	defer l.Close()
	if state, output, err := o.ask(t, l, "R\n", "-tls1_2"); err == nil || state.Version != tls.VersionTLS12 || !strings.Contains(output, "RENEGOTIATING") {
		t.Errorf("a client: %v\n%s", err, output)
	}
	server := o.serve(t, "peer", "-tls1_2")
	defer server.stop()
	conn, err := server.dial(t, o.here.Dialer(DialerConfig{Authorize: anyone, MinVersion: tls.VersionTLS12}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(server.in, "R\n")
	if _, err := io.ReadAll(conn); err == nil {
		t.Error("a server has had its way")
	}
}

func TestAMinimumVersionThatIsNoneOfThoseAllowedPanics(t *testing.T) {
	s := newGuarded().here
	for _, version := range []uint16{1, tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS13 + 1} {
		for name, make := range map[string]func(){
			"listener": func() { s.Listener(nil, ListenerConfig{Authorize: anyone, MinVersion: version}) },
			"dialer":   func() { s.Dialer(DialerConfig{Authorize: anyone, MinVersion: version}) },
		} {
			if got := panicOf(make); !strings.Contains(got, "want tls.VersionTLS12 or tls.VersionTLS13") {
				t.Errorf("%s with %#x: panic %q", name, version, got)
			}
		}
	}
}
