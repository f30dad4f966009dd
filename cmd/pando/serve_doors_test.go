package main

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pando-ca/pando/ca/catest"
)

// A certificate of a stranger gets through TLS, so that whoever holds a good token beside it is
// heard, and is of no use without one.
func TestTLSDoorsHearEverybodyAndBelieveNobody(t *testing.T) {
	d := newDeployment(t, "")
	d.serve(t)
	trusted := d.tls(t)
	stranger := catest.New(t, catest.Options{}).Issue(t, "spiffe://example.org/pando/admin/admin", catest.Leaf{})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := d.client(t, true)
		client.http.Transport = &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{
			RootCAs: trusted.RootCAs, ServerName: "localhost", Certificates: []tls.Certificate{stranger}, MaxVersion: version,
		}}
		if _, err := client.sign(t.Context()); err == nil || !strings.Contains(err.Error(), "status 401") {
			t.Errorf("%s with a stranger's certificate: %v, want 401", tls.VersionName(version), err)
		}
	}
}

func TestTLSDoorsShowPandosOwnIdentity(t *testing.T) {
	d := newDeployment(t, "")
	d.serve(t)
	for _, address := range []string{d.addr.REST, d.addr.GRPC} {
		conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: d.tls(t).RootCAs, ServerName: "localhost", NextProtos: []string{"h2"}})
		if err != nil {
			t.Fatal(err)
		}
		state := conn.ConnectionState()
		if id := state.PeerCertificates[0].URIs[0].String(); id != "spiffe://example.org/pando/server" {
			t.Errorf("%s shows %s", address, id)
		}
		if state.Version != tls.VersionTLS13 || state.NegotiatedProtocol != "h2" {
			t.Errorf("%s speaks %s and %q", address, tls.VersionName(state.Version), state.NegotiatedProtocol)
		}
		conn.Close()
	}
	old := &tls.Config{RootCAs: d.tls(t).RootCAs, ServerName: "localhost", MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if conn, err := tls.Dial("tcp", d.addr.REST, old); err == nil {
		conn.Close()
		t.Error("TLS 1.1 was accepted")
	}
}

func TestPlainDoorsServeTheirs(t *testing.T) {
	d := newDeployment(t, "")
	d.serve(t)
	for url, want := range map[string]string{
		"http://" + d.addr.Public + "/v1/bundle":      `"spiffe_sequence"`,
		"http://" + d.addr.Public + "/v1/bundle.pem":  "BEGIN CERTIFICATE",
		"http://" + d.addr.Metrics + "/metrics":       "pando_bundle_sequence 1",
		"http://" + d.addr.Metrics + "/healthz/live":  `"status":"live"`,
		"http://" + d.addr.Metrics + "/healthz/ready": `"serving_certificate":{"ok":true`,
	} {
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s, %v: %s", url, resp.Status, err, body)
		}
	}
}

func TestDoorsWithoutAnAddressAreClosed(t *testing.T) {
	d := newDeployment(t, "")
	d.env = append(d.env, "PANDO_LISTEN_PUBLIC=", "PANDO_LISTEN_GRPC=")
	p := d.serve(t)
	line := p.logLine("serving")
	for began := time.Now(); line == nil && time.Since(began) < startLimit; line = p.logLine("serving") {
		time.Sleep(5 * time.Millisecond) // the metrics door is up a moment before the line
	}
	if line == nil || line["public"] != nil || line["grpc"] != nil || line["rest"] != d.addr.REST {
		t.Errorf("the log says %v", line)
	}
}

// More connections than configured wait until others are gone.
func TestConnectionsAreLimited(t *testing.T) {
	d := newDeployment(t, "")
	d.env = append(d.env, "PANDO_LIMITS_MAX_CONNECTIONS=1")
	p := d.start(t)
	var first net.Conn
	for first == nil { // until it listens
		select {
		case <-p.done:
			t.Fatalf("the server ended: %s", p.log)
		case <-time.After(5 * time.Millisecond):
		}
		first, _ = net.Dial("tcp", d.addr.Public)
	}
	ask := func(conn net.Conn, within time.Duration) error {
		if _, err := io.WriteString(conn, "GET /v1/bundle.pem HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			return err
		}
		conn.SetReadDeadline(time.Now().Add(within))
		_, err := conn.Read(make([]byte, 1))
		return err
	}
	if err := ask(first, startLimit); err != nil {
		t.Fatalf("the first connection: %v", err)
	}
	second, err := net.Dial("tcp", d.addr.Public)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := ask(second, 200*time.Millisecond); err == nil {
		t.Error("the second connection was served beside the first")
	}
	first.Close()
	second.SetReadDeadline(time.Now().Add(startLimit))
	if _, err := second.Read(make([]byte, 1)); err != nil {
		t.Errorf("the second connection after the first: %v", err)
	}
}

// daemon builds a server in this process.
func (d *deployment) daemon(t *testing.T) *daemon {
	t.Helper()
	cfg, err := configSource{data: d.data, env: d.env}.load()
	if err != nil {
		t.Fatal(err)
	}
	built, err := newDaemon(t.Context(), &cfg, "", newLog(io.Discard, &cfg.Log))
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// A part that fails takes the whole server down in order, and is named.
func TestServeEndsWhenADoorFails(t *testing.T) {
	server := newDeployment(t, "").daemon(t)
	server.doors[0].close()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	if err := server.run(ctx); err == nil || !strings.Contains(err.Error(), "rest door") {
		t.Errorf("run ended with %v, want the door's error", err)
	}
	if err := server.close(); err != nil {
		t.Error(err)
	}
}

// Whoever stops a server gets everything back.
func TestServeLeavesNothingRunning(t *testing.T) {
	d := newDeployment(t, "")
	before := goleak.IgnoreCurrent()
	server := d.daemon(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.run(ctx) }()
	client := d.client(t, true)
	if _, err := client.sign(t.Context()); err != nil {
		t.Error(err)
	}
	client.http.CloseIdleConnections()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run ended with %v", err)
	}
	if err := server.close(); err != nil {
		t.Error(err)
	}
	goleak.VerifyNone(t, before)
}

// Requests that take longer than the drain are cut off, and the exit code says so.
func TestDrainHasAnEnd(t *testing.T) {
	d := newDeployment(t, "")
	d.env = append(d.env, "PANDO_TIMEOUTS_DRAIN=100ms")
	server := d.daemon(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- server.run(ctx) }()
	conn, err := tls.Dial("tcp", d.addr.REST, d.tls(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// A body that never comes.
	if _, err := io.WriteString(conn, "POST /v1/certificates HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	// Once a later connection is served, this one was accepted; whether its header was read yet
	// makes no difference, since a new connection counts as one with a request in flight.
	if _, err := d.client(t, true).sign(t.Context()); err != nil {
		t.Error(err)
	}
	cancel()
	select {
	case err = <-ended:
	case <-time.After(startLimit):
		t.Fatal("the drain does not end")
	}
	if err == nil || !strings.Contains(err.Error(), "rest door: requests were cut off") {
		t.Errorf("run ended with %v", err)
	}
	if err := server.close(); err != nil {
		t.Error(err)
	}
}

func TestCPUProfileIsWritten(t *testing.T) {
	d := newDeployment(t, "")
	path := filepath.Join(t.TempDir(), "cpu.pprof")
	stop, err := startProfile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if files := snapshot(t, filepath.Dir(path)); len(files) != 1 {
		t.Errorf("%d files, want the profile", len(files))
	}
	if code, errs := d.refusedServe(t, "PANDO_DEBUG_CPU_PROFILE=/nonexistent/cpu.pprof"); code != exitFailed || !strings.Contains(errs, "debug.cpu_profile: ") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}
