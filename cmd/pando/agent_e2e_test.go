package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/store"
)

// agentRotations is how many new certificates each proxy has to show under load.
const agentRotations = 10

// TestAgentRotatesRealProxies has pando agent keep the certificates of nginx and of HAProxy,
// which verify their clients, through ten new certificates each and a change of the root, while
// clients ask both without a pause: not one request fails. Meanwhile readers of the files never
// see a key with the certificate of another.
func TestAgentRotatesRealProxies(t *testing.T) {
	for _, setting := range rotationEnv() {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
	}
	nginx, haproxy := findProxy(t, "nginx"), findProxy(t, "haproxy")
	e := newAgentEnd(t, "nginx", "haproxy", "asks")
	e.writeConfig(t, agentProxiesYAML, map[string]string{"nginx": nginx})
	firstRoot := readFile(t, filepath.Join(e.ca.data, caBundleName))

	e.startAgent(t)
	e.awaitReady(t)
	nginxAt, haproxyAt := e.startNginx(t, nginx), e.startHAProxy(t, haproxy)

	asks := openWorkload(t, client.Config{
		Servers: e.servers(), TrustBundleFile: filepath.Join(e.ca.data, caBundleName), JoinToken: e.tokens["asks"],
	})
	defer asks.Close()
	load := newProxyLoad(asks, map[string]string{"nginx": nginxAt, "haproxy": haproxyAt})
	load.awaitFirst(t)
	load.refusesStrangers(t, nginxAt, haproxyAt)
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	load.start(ctx, &working)
	readers := &tornReaders{dir: filepath.Join(e.dir, "nginx")}
	working.Go(func() { readers.run(ctx) })

	e.await(t, load, firstRoot)
	stop()
	working.Wait()
	readers.check(t, agentRotations+1)
	for name, p := range load.proxies {
		t.Logf("%s: %d requests with %d handshakes, %d certificates, %d failed", name, p.requests.Load(), p.handshakes.Load(),
			p.certificates(), load.failed.Load())
	}
	e.checkHealthAndMetrics(t)
	if code := e.agent.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("the agent ended with %d", code)
	}
}

// findProxy finds a program where Debian puts it, which may not be in the PATH of a user.
func findProxy(t *testing.T, name string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name, "/usr/local/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	t.Fatalf("%s is not installed: run scripts/ensure-proxies", name)
	return ""
}

// agentEnd is a CA, and an agent with its files in one directory.
type agentEnd struct {
	ca     *deployment
	server *process
	dir    string
	agent  *process
	health string            // address
	tokens map[string]string // by identity
}

// newAgentEnd makes a CA with an entry and a join token for each name, and serves it. A name
// may be followed by a colon and its profile.
func newAgentEnd(t *testing.T, names ...string) *agentEnd {
	t.Helper()
	e := &agentEnd{ca: newDeployment(t, ""), dir: t.TempDir(), tokens: make(map[string]string), health: freeAddresses(t, 1)[0]}
	cfg, err := configSource{data: e.ca.data}.load()
	if err != nil {
		t.Fatal(err)
	}
	db, err := openDatabase(t.Context(), &cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		name, profile, found := strings.Cut(name, ":")
		if !found {
			profile = "workload"
		}
		e.tokens[name] = newToken(t, db, store.Entry{ID: "ent_" + name, SPIFFEID: "spiffe://example.org/" + name, Profile: profile})
		writeFile(t, e.dir, name+".token", []byte(e.tokens[name]))
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	e.server = e.ca.serve(t)
	return e
}

func (e *agentEnd) servers() []string { return []string{"https://" + e.ca.addr.REST} }

// agentProxiesYAML is the configuration for both proxies: one is told by a command, the other
// by a signal.
const agentProxiesYAML = `
state_directory: state
listen: {{.Health}}
servers: ["https://{{.REST}}"]
trust_bundle_file: {{.Data}}/bundle.pem
log: {format: text}
hooks:
  - name: nginx
    command: ["{{.nginx}}", -e, {{.Dir}}/nginx-error.log, -c, {{.Dir}}/nginx.conf, -s, reload]
    delay: 100ms
  - name: haproxy
    signal: USR2
    pid_file: haproxy.pid
    delay: 100ms
identities:
  - name: nginx
    join_token_file: nginx.token
    spiffe_id: spiffe://example.org/nginx
    output: {directory: nginx}
    hooks: [nginx]
  - name: haproxy
    join_token_file: haproxy.token
    key_algorithm: ecdsa-p384
    output:
      directory: haproxy
      link: live
      files: {combined: site.pem, bundle: clients.pem}
    hooks: [haproxy]
`

// writeConfig writes agent.yaml from a template.
func (e *agentEnd) writeConfig(t *testing.T, text string, more map[string]string) {
	t.Helper()
	values := map[string]string{"Health": e.health, "REST": e.ca.addr.REST, "Data": e.ca.data, "Dir": e.dir}
	for name, value := range more {
		values[name] = value
	}
	writeFile(t, e.dir, "agent.yaml", expand(t, text, values))
}

func expand(t *testing.T, text string, values map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := template.Must(template.New("").Parse(text)).Execute(&out, values); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func (e *agentEnd) startAgent(t *testing.T) {
	t.Helper()
	e.agent = startProcess(t, "the agent", exec.Command("pando", "agent", "--config", filepath.Join(e.dir, "agent.yaml")))
}

// awaitReady returns once every identity has its files.
func (e *agentEnd) awaitReady(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(startLimit); ; time.Sleep(20 * time.Millisecond) {
		status, text := e.get("/healthz/ready")
		if status == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the agent does not become ready: %d %s", status, text)
		}
	}
}

// get asks an endpoint of the agent; the status is 0 when nobody answers.
func (e *agentEnd) get(path string) (status int, text string) {
	resp, err := http.Get("http://" + e.health + path)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

const nginxConf = `
daemon off;
worker_processes 1;
pid {{.Dir}}/nginx.pid;
error_log {{.Dir}}/nginx-error.log;
events {}
http {
	access_log off;
	client_body_temp_path {{.Dir}}/nginx-tmp; proxy_temp_path {{.Dir}}/nginx-tmp;
	fastcgi_temp_path {{.Dir}}/nginx-tmp; uwsgi_temp_path {{.Dir}}/nginx-tmp; scgi_temp_path {{.Dir}}/nginx-tmp;
	server {
		listen {{.Address}} ssl;
		ssl_protocols TLSv1.2 TLSv1.3;
		ssl_certificate {{.Dir}}/nginx/current/cert.pem;
		ssl_certificate_key {{.Dir}}/nginx/current/key.pem;
		ssl_client_certificate {{.Dir}}/nginx/current/bundle.pem;
		ssl_verify_client on;
		ssl_verify_depth 4;
		location / { default_type text/plain; return 200 "$ssl_client_verify\n"; }
	}
}
`

func (e *agentEnd) startNginx(t *testing.T, path string) (address string) {
	t.Helper()
	address = freeAddresses(t, 1)[0]
	writeFile(t, e.dir, "nginx.conf", expand(t, nginxConf, map[string]string{"Dir": e.dir, "Address": address}))
	startProxy(t, "nginx", exec.Command(path, "-e", filepath.Join(e.dir, "nginx-error.log"), "-c", filepath.Join(e.dir, "nginx.conf")))
	return address
}

// The admin socket with expose-fd is how a new worker takes over the listeners of the old one.
const haproxyConf = `
global
	stats socket {{.Dir}}/haproxy.sock mode 600 level admin expose-fd listeners
	ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
	mode http
	timeout connect 5s
	timeout client 30s
	timeout server 30s
frontend site
	bind {{.Address}} ssl crt {{.Dir}}/haproxy/live/site.pem ca-file {{.Dir}}/haproxy/live/clients.pem verify required
	http-request return status 200 content-type text/plain string SUCCESS
`

func (e *agentEnd) startHAProxy(t *testing.T, path string) (address string) {
	t.Helper()
	address = freeAddresses(t, 1)[0]
	writeFile(t, e.dir, "haproxy.cfg", expand(t, haproxyConf, map[string]string{"Dir": e.dir, "Address": address}))
	startProxy(t, "HAProxy", exec.Command(path, "-W", "-p", filepath.Join(e.dir, "haproxy.pid"), "-f", filepath.Join(e.dir, "haproxy.cfg")))
	return address
}

// startProxy starts a proxy that is ended so that it takes its workers with it.
func startProxy(t *testing.T, what string, cmd *exec.Cmd) {
	t.Helper()
	p := startProcess(t, what, cmd)
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
		select {
		case <-p.done:
		case <-time.After(startLimit):
			t.Errorf("%s does not end", what)
		}
	})
}

// await returns once each proxy has shown enough certificates and the first root is gone from
// the files, the whole way under load.
func (e *agentEnd) await(t *testing.T, l *proxyLoad, firstRoot []byte) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		done := !bytes.Contains(readFile(t, filepath.Join(e.dir, "haproxy/live/clients.pem")), firstRoot)
		for _, p := range l.proxies {
			done = done && p.certificates() > agentRotations
		}
		switch {
		case l.failed.Load() > 0:
			t.Fatalf("requests failed: %q\nnginx: %s", l.reasons, readFile(t, filepath.Join(e.dir, "nginx-error.log")))
		case done:
			return
		case time.Now().After(deadline):
			t.Fatalf("nginx has shown %d certificates, HAProxy %d", l.proxies["nginx"].certificates(), l.proxies["haproxy"].certificates())
		}
	}
}

// checkHealthAndMetrics asks what a monitoring system would.
func (e *agentEnd) checkHealthAndMetrics(t *testing.T) {
	t.Helper()
	if status, text := e.get("/healthz/ready"); status != http.StatusOK || !strings.Contains(text, `"nginx":"ok"`) {
		t.Errorf("ready: %d %s", status, text)
	}
	if status, _ := e.get("/healthz/live"); status != http.StatusOK {
		t.Errorf("live: %d", status)
	}
	_, text := e.get("/metrics")
	for _, want := range []string{
		`pando_client_certificate_not_after_timestamp_seconds{identity="haproxy"}`, `pando_client_certificate_not_before_timestamp_seconds{identity="nginx"}`,
		`pando_client_renewal_due_timestamp_seconds{identity="nginx"}`, `pando_client_renewals_total{identity="nginx",result="success"} 1`,
		`pando_client_renewal_consecutive_failures{identity="nginx"} 0`, `pando_client_bundle_sequence{identity="haproxy"}`,
		`pando_agent_hook_runs_total{hook="nginx",result="success"} 1`, `pando_agent_hook_consecutive_failures{hook="haproxy"} 0`,
		`pando_agent_published_not_after_timestamp_seconds{identity="nginx"}`,
	} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("no metric %s in\n%s", want, text)
		}
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
