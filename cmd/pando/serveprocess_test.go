package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

// startLimit bounds the wait for a process on a machine that is busy with other tests.
const startLimit = time.Minute

// deployment is a CA that was made by pando init, with the processes that serve it.
type deployment struct {
	data string
	env  []string
	addr listenConfig // equal over restarts
}

// runPando runs a command in this process and returns what it wrote.
func runPando(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), args, stdio{in: strings.NewReader(""), out: &stdout, err: &stderr})
	return code, stdout.String(), stderr.String()
}

// newDeployment makes a CA on SQLite, or on Postgres if there is a database URL.
func newDeployment(t *testing.T, databaseURL string, flags ...string) *deployment {
	t.Helper()
	t.Setenv("PANDO_CONTEXT_FILE", filepath.Join(t.TempDir(), "contexts.yaml"))
	d := &deployment{data: filepath.Join(t.TempDir(), "data")}
	args := append([]string{"init", "--trust-domain", "example.org", "--data", d.data}, flags...)
	if databaseURL != "" {
		args = append(args, "--database", databaseURL)
	}
	if code, _, errs := runPando(t, args...); code != exitOK {
		t.Fatalf("pando %s: exit code %d: %s", strings.Join(args, " "), code, errs)
	}
	free := freeAddresses(t, 4)
	d.addr = listenConfig{REST: free[0], GRPC: free[1], Public: free[2], Metrics: free[3]}
	d.env = []string{
		"PANDO_LISTEN_REST=" + d.addr.REST, "PANDO_LISTEN_GRPC=" + d.addr.GRPC,
		"PANDO_LISTEN_PUBLIC=" + d.addr.Public, "PANDO_LISTEN_METRICS=" + d.addr.Metrics,
		"PANDO_LIMITS_IDENTITY_RATE=0",
	}
	return d
}

// freeAddresses are n different ports of the loopback interface that nobody uses now. They lie
// below those that the system gives to connections and to listeners on port 0, so that nobody
// gets one while a server restarts.
func freeAddresses(t *testing.T, n int) []string {
	t.Helper()
	const low, high, attempts = 12_000, 32_000, 1000
	var addresses []string
	for range attempts {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(low+mathrand.IntN(high-low)))
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		defer listener.Close() // all are held until the last is known, so that they differ
		if addresses = append(addresses, address); len(addresses) == n {
			return addresses
		}
	}
	t.Fatal("no free port")
	return nil
}

// process is a running program, such as pando serve.
type process struct {
	cmd  *exec.Cmd
	log  *lockedBuffer
	done chan struct{} // closed when it has ended
}

// lockedBuffer is written by a process and read by its test.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// serve starts pando serve and returns once it is ready.
func (d *deployment) serve(t *testing.T) *process {
	t.Helper()
	p := d.start(t)
	d.awaitReady(t, p)
	return p
}

func (d *deployment) start(t *testing.T) *process {
	t.Helper()
	cmd := exec.Command("pando", "serve", "--data", d.data)
	cmd.Env = append(os.Environ(), d.env...)
	return startProcess(t, "the server", cmd)
}

// startProcess starts a command that runs until the end of the test, if nobody ends it before.
func startProcess(t *testing.T, what string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, log: new(lockedBuffer), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in ProcessState
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // if it has not ended yet
		<-p.done
		if t.Failed() {
			t.Logf("log of %s:\n%s", what, p.log)
		}
	})
	return p
}

// awaitReady waits until the server says that it is ready.
func (d *deployment) awaitReady(t *testing.T, p *process) {
	t.Helper()
	deadline := time.After(startLimit)
	for {
		if status, _ := d.ready(); status == http.StatusOK {
			return
		}
		select {
		case <-p.done:
			t.Fatalf("the server ended: %s", p.log)
		case <-deadline:
			t.Fatalf("the server does not become ready: %s", p.log)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// ready asks for readiness; the status is 0 when nobody answers.
func (d *deployment) ready() (status int, r report) {
	resp, err := http.Get("http://" + d.addr.Metrics + "/healthz/ready")
	if err != nil {
		return 0, report{}
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil {
		return 0, report{}
	}
	return resp.StatusCode, r
}

// end sends a signal, waits until the process is gone, and returns its exit code; -1 after SIGKILL.
func (p *process) end(t *testing.T, signal syscall.Signal) int {
	t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.done:
	case <-time.After(startLimit):
		t.Fatalf("%v does not end the server: %s", signal, p.log)
	}
	return p.cmd.ProcessState.ExitCode()
}

// tls is how the administrator connects.
func (d *deployment) tls(t *testing.T) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(d.data, "admin.crt"), filepath.Join(d.data, "admin.key"))
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := os.ReadFile(filepath.Join(d.data, "bundle.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		t.Fatal("bundle.pem holds no certificate")
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, ServerName: "localhost"}
}

// client talks to the REST door as the administrator, over HTTP/2 or HTTP/1.1.
func (d *deployment) client(t *testing.T, http2 bool) *restClient {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: d.tls(t), ForceAttemptHTTP2: http2}
	t.Cleanup(transport.CloseIdleConnections)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	return &restClient{
		http: &http.Client{Transport: transport, Timeout: startLimit}, url: "https://" + d.addr.REST,
		csr: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr})),
	}
}

type restClient struct {
	http *http.Client
	url  string
	csr  string
}

// loadID is the identity that the tests sign for.
const loadID = "spiffe://example.org/load"

// refusal is an answer other than a certificate.
type refusal struct {
	status     int
	code       string
	retryAfter string
}

func (r *refusal) Error() string { return fmt.Sprintf("status %d, code %s", r.status, r.code) }

// sign obtains a certificate and returns its serial number.
func (c *restClient) sign(ctx context.Context) (serial string, err error) {
	body, err := json.Marshal(map[string]string{"csr": c.csr, "spiffe_id": loadID})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/v1/certificates", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	var answer struct{ Serial, Code string }
	if err := json.Unmarshal(text, &answer); err != nil {
		return "", fmt.Errorf("%w in %q", err, text)
	}
	if resp.StatusCode != http.StatusCreated {
		return "", &refusal{resp.StatusCode, answer.Code, resp.Header.Get("Retry-After")}
	}
	return answer.Serial, nil
}

// recorded is the serial numbers in the store under loadID. No server may be running on SQLite.
func (d *deployment) recorded(t *testing.T) map[string]bool {
	t.Helper()
	cfg, err := configSource{data: d.data}.load()
	if err != nil {
		t.Fatal(err)
	}
	db, err := openDatabase(t.Context(), &cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	found := make(map[string]bool)
	filter := store.RecordFilter{SPIFFEID: loadID, Limit: 1000}
	for {
		records, err := db.Records(t.Context(), filter)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			found[ca.Serial(r.Serial).String()] = true
		}
		if len(records) < filter.Limit {
			return found
		}
		last := records[len(records)-1]
		filter.After = store.Cursor{NotAfter: last.NotAfter, Serial: last.Serial}
	}
}

// held is the serial numbers that clients were given.
type held struct {
	more chan struct{} // has something when serials has grown

	mu      sync.Mutex
	serials []string
}

func newHeld() *held { return &held{more: make(chan struct{}, 1)} }

func (h *held) add(serial string) {
	h.mu.Lock()
	h.serials = append(h.serials, serial)
	h.mu.Unlock()
	select {
	case h.more <- struct{}{}:
	default:
	}
}

func (h *held) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.serials)
}

// await returns once there are n, which the running server gives out.
func (h *held) await(t *testing.T, p *process, n int) {
	t.Helper()
	deadline := time.After(startLimit)
	for h.count() < n {
		select {
		case <-h.more:
		case <-p.done:
			t.Fatal("the server ended")
		case <-deadline:
			t.Fatalf("%d certificates in %s, want %d", h.count(), startLimit, n)
		}
	}
}

// missing is those that are not in the store.
func (h *held) missing(recorded map[string]bool) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var missing []string
	for _, serial := range h.serials {
		if !recorded[serial] {
			missing = append(missing, serial)
		}
	}
	return missing
}

// logLine finds a line of the log by its message.
func (p *process) logLine(message string) map[string]any {
	scanner := bufio.NewScanner(strings.NewReader(p.log.String()))
	for scanner.Scan() {
		var line map[string]any
		if json.Unmarshal(scanner.Bytes(), &line) == nil && line["msg"] == message {
			return line
		}
	}
	return nil
}
