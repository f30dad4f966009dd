package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca/catest"
)

// agentOneYAML is one identity, told of by a command that writes down its environment.
const agentOneYAML = `
state_directory: state
listen: {{.Health}}
servers: ["https://{{.REST}}"]
trust_bundle_file: {{.Data}}/bundle.pem
hooks:
  - {name: note, command: [sh, -c, "env >>{{.Dir}}/environment; echo noted"], delay: 0s}
identities:
  - name: web
    join_token_file: web.token
    output: {directory: web, files: {combined: {{.combined}}, pkcs12: web.p12}, pkcs12_password_file: password}
    hooks: [note]
`

// agentReport is the answer of /healthz/ready.
type agentReport struct {
	Ready    bool
	Checks   map[string]string
	Warnings map[string]string
}

func (e *agentEnd) report(t *testing.T) (status int, r agentReport) {
	t.Helper()
	status, text := e.get("/healthz/ready")
	if err := json.Unmarshal([]byte(text), &r); status != 0 && err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return status, r
}

// until returns once is reports true.
func (e *agentEnd) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(startLimit); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			_, report := e.report(t)
			t.Fatalf("it never happens that %s: %+v", what, report)
		}
	}
}

func newOneAgent(t *testing.T) *agentEnd {
	t.Helper()
	e := newAgentEnd(t, "web", "spare")
	writeFile(t, e.dir, "password", []byte("correct horse\n"))
	e.writeConfig(t, agentOneYAML, map[string]string{"combined": "web.pem"})
	return e
}

// The agent is killed, started while the CA is away, and finds its state damaged: the program
// keeps its files all the while.
func TestAgentRestarts(t *testing.T) {
	t.Setenv("PANDO_TOKEN", "a-secret-of-the-service")
	e := newOneAgent(t)
	combined := filepath.Join(e.dir, "web/current/web.pem")
	e.startAgent(t)
	e.awaitReady(t)
	e.until(t, "the hook runs", func() bool { _, err := os.Stat(filepath.Join(e.dir, "environment")); return err == nil })
	first := readFile(t, combined)
	if !bytes.HasPrefix(first, []byte("-----BEGIN PRIVATE KEY-----\n")) {
		t.Error("the combined file does not begin with the key")
	}

	e.agent.end(t, syscall.SIGKILL)
	e.server.end(t, syscall.SIGTERM)
	e.startAgent(t)
	e.awaitReady(t)
	e.until(t, "a warning says that the CA is away", func() bool {
		_, r := e.report(t)
		return strings.Contains(r.Warnings["web"], "cannot be reached") || strings.Contains(r.Warnings["web"], "refused")
	})
	if !bytes.Equal(readFile(t, combined), first) {
		t.Error("the files changed without a new certificate")
	}
	e.server = e.ca.serve(t)
	e.until(t, "it renews when the CA is back", func() bool { return !bytes.Equal(readFile(t, combined), first) })

	environment := readFile(t, filepath.Join(e.dir, "environment"))
	if bytes.Contains(environment, []byte("a-secret")) || !bytes.Contains(environment, []byte("PANDO_IDENTITIES=web\n")) {
		t.Errorf("environment of the hook:\n%s", environment)
	}
	e.damageState(t)
}

// damageState cuts the state in half. The spent token gives no new identity, a new one does.
func (e *agentEnd) damageState(t *testing.T) {
	t.Helper()
	combined := filepath.Join(e.dir, "web/current/web.pem")
	if code := e.agent.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("SIGTERM: exit code %d", code)
	}
	before := readFile(t, combined)
	state := filepath.Join(e.dir, "state/web.json")
	if err := os.Truncate(state, 100); err != nil {
		t.Fatal(err)
	}
	e.startAgent(t)
	e.until(t, "health names the identity and the cause", func() bool {
		status, r := e.report(t)
		return status == http.StatusServiceUnavailable && strings.Contains(r.Checks["web"], "token_used")
	})
	if readFile(t, state+".damaged"); !strings.Contains(e.agent.log.String(), "state set aside") {
		t.Error("the log does not say that the state was set aside")
	}
	if !bytes.Equal(readFile(t, combined), before) {
		t.Error("the files did not stay")
	}
	writeFile(t, e.dir, "web.token", []byte(e.tokens["spare"]))
	e.hangUp(t)
	e.until(t, "a new token helps", func() bool { status, _ := e.report(t); return status == http.StatusOK })
	if bytes.Equal(readFile(t, combined), before) {
		t.Error("there is no new certificate")
	}
}

func (e *agentEnd) hangUp(t *testing.T) {
	t.Helper()
	if err := e.agent.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// The agent is killed again and again, at any moment of a start, a renewal or a switch. Readers
// see nothing of it, and it never loses the identity.
func TestAgentIsKilledAtAnyMoment(t *testing.T) {
	e := newAgentEnd(t, "nginx", "haproxy")
	e.writeConfig(t, agentProxiesYAML, map[string]string{"nginx": "true"})
	e.startAgent(t)
	e.awaitReady(t)
	ctx, stop := context.WithCancel(t.Context())
	var reading sync.WaitGroup
	readers := &tornReaders{dir: filepath.Join(e.dir, "nginx")}
	reading.Go(func() { readers.run(ctx) })
	for range 25 {
		time.Sleep(rand.N(120 * time.Millisecond)) // no moment is special
		e.agent.end(t, syscall.SIGKILL)
		e.startAgent(t)
	}
	e.awaitReady(t)
	stop()
	reading.Wait()
	readers.check(t, 2)
	if damaged, err := filepath.Glob(filepath.Join(e.dir, "state", "*.damaged")); err != nil || len(damaged) > 0 {
		t.Errorf("damaged states: %v, %v", damaged, err)
	}
	if code := e.agent.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("SIGTERM: exit code %d", code)
	}
}

// SIGHUP puts a good configuration in force, and no other.
func TestAgentReadsItsConfigurationAgain(t *testing.T) {
	e := newOneAgent(t)
	e.startAgent(t)
	e.awaitReady(t)
	for text, refusal := range map[string]string{
		agentOneYAML + "\nidentites: []":                               "unknown key",
		strings.Replace(agentOneYAML, "state_directory: state", "", 1): "need a restart",
	} {
		e.writeConfig(t, text, map[string]string{"combined": "other.pem"})
		e.hangUp(t)
		e.until(t, "the log says that "+refusal, func() bool { return strings.Contains(e.agent.log.String(), refusal) })
	}
	if status, r := e.report(t); status != http.StatusOK {
		t.Errorf("after configurations that were refused: %+v", r)
	}
	e.writeConfig(t, agentOneYAML, map[string]string{"combined": "other.pem"})
	e.hangUp(t)
	e.until(t, "the new file is there", func() bool {
		_, err := os.Stat(filepath.Join(e.dir, "web/current/other.pem"))
		return err == nil
	})
	if code := e.agent.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("SIGTERM: exit code %d", code)
	}
}

// Health must not say that all is well with a certificate that nobody accepts.
func TestAgentIsUnhealthyAfterExpiry(t *testing.T) {
	for _, setting := range rotationEnv() {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
	}
	e := newOneAgent(t)
	e.startAgent(t)
	e.awaitReady(t)
	e.server.end(t, syscall.SIGKILL)
	e.until(t, "health says that the identity has expired", func() bool {
		status, r := e.report(t)
		return status == http.StatusServiceUnavailable && strings.HasPrefix(r.Checks["web"], "expired at 20")
	})
	if _, text := e.get("/metrics"); !strings.Contains(text, `pando_client_renewals_total{identity="web",result="failure"}`) ||
		strings.Contains(text, `pando_client_renewal_consecutive_failures{identity="web"} 0`) {
		t.Errorf("metrics:\n%s", text)
	}
	if _, err := os.Stat(filepath.Join(e.dir, "web/current/web.pem")); err != nil {
		t.Error(err)
	}
}

// Nor with one that is revoked.
func TestAgentIsUnhealthyAfterRevocation(t *testing.T) {
	e := newOneAgent(t)
	e.startAgent(t)
	e.awaitReady(t)
	code, _, errs := runPando(t, "cert", "revoke", "--spiffe-id", "spiffe://example.org/web", "--yes", "--server", e.servers()[0])
	if code != exitOK {
		t.Fatal(errs)
	}
	e.until(t, "health says that the identity is revoked", func() bool {
		status, r := e.report(t)
		return status == http.StatusServiceUnavailable && strings.HasPrefix(r.Checks["web"], "revoked")
	})
}

func TestAgentConfigurationsThatAreRefused(t *testing.T) {
	const (
		hook     = `hooks: [{name: h, command: [a]}]`
		identity = `{name: web, trust_bundle_file: bundle.pem, servers: ["https://x"], join_token_file: t, output: {directory: d}}`
	)
	roots := rootsPEM(catest.New(t, catest.Options{}))
	with := func(old, replacement string) string {
		return "identities: [" + strings.Replace(identity, old, replacement, 1) + "]"
	}
	for name, test := range map[string]struct{ text, want string }{
		"no identity":                         {"hooks: []", "no identities"},
		"an unknown key":                      {"identites: []", `did you mean "identities"`},
		"an unknown key of an output":         {with("directory: d", "directory: d, dir: e"), "unknown key"},
		"two of one name":                     {"identities: [" + identity + "," + strings.Replace(identity, "directory: d", "directory: e", 1) + "]", "there twice"},
		"two with one output":                 {"identities: [" + identity + "," + strings.Replace(identity, "web", "api", 1) + "]", "have the same output"},
		"a name with a slash":                 {with("web", "../web"), "the name is not of"},
		"nothing to enrol with":               {with("join_token_file: t, ", ""), "nothing to enrol with"},
		"two things to enrol with":            {with("join_token_file: t", "join_token_file: t, jwt_file: j"), "more than one of"},
		"a server without TLS":                {with("https", "http"), "want https"},
		"no server":                           {with(`servers: ["https://x"], `, ""), "no servers"},
		"no trust bundle":                     {with("trust_bundle_file: bundle.pem, ", ""), "no trust bundle file"},
		"a trust bundle that is not there":    {with("bundle.pem", "none.pem"), "none.pem"},
		"a SPIFFE ID of another trust domain": {with("join_token_file: t", "join_token_file: t, spiffe_id: spiffe://other.example/web"), "not in trust domain"},
		"a certificate without a key":         {with("join_token_file: t", "certificate_file: c"), "go together"},
		"an unknown kind of key":              {with("join_token_file: t", "join_token_file: t, key_algorithm: rsa"), "unknown key algorithm"},
		"no output":                           {with("directory: d", ""), "no output directory"},
		"a key for everybody":                 {with("directory: d", "directory: d, key_mode: 0644"), "lets everybody at a private key"},
		"a mode that is no mode":              {with("directory: d", "directory: d, mode: rw"), "is not a mode"},
		"a set-user-ID mode":                  {with("directory: d", "directory: d, mode: 4755"), "is not a mode"},
		"a file outside of the directory":     {with("directory: d", "directory: d, files: {key: ../key.pem}"), "is not the name of a file"},
		"two files of one name":               {with("directory: d", "directory: d, files: {key: a, chain: a}"), "used twice"},
		"no file":                             {with("directory: d", "directory: d, files: {}"), "no output file"},
		"a link with a slash":                 {with("directory: d", "directory: d, link: a/b"), "is not the name of a file"},
		"PKCS #12 without a password":         {with("directory: d", "directory: d, files: {pkcs12: a}"), "go together"},
		"an owner that does not exist":        {with("directory: d", "directory: d, owner: no-such-user"), "no-such-user"},
		"a hook that does not exist":          {with("output:", "hooks: [h], output:"), `no hook "h"`},
		"a hook that is named twice":          {hook + "\n" + with("output:", "hooks: [h, h], output:"), "named twice"},
		"a hook that does nothing":            {"hooks: [{name: h}]\n" + with("", ""), "either a command or a signal"},
		"a hook that does two things":         {"hooks: [{name: h, command: [a], signal: HUP, pid_file: p}]\n" + with("", ""), "either a command or a signal"},
		"a command that is a text":            {"hooks: [{name: h, command: nginx -s reload}]\n" + with("", ""), "stands where a list is needed"},
		"a signal that ends programs":         {"hooks: [{name: h, signal: KILL, pid_file: p}]\n" + with("", ""), "not one of those"},
		"a signal to nobody":                  {"hooks: [{name: h, signal: HUP}]\n" + with("", ""), "go together"},
		"an unknown log format":               {"log: {format: xml}\n" + with("", ""), "log.format"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, dir, "bundle.pem", roots)
			writeFile(t, dir, "agent.yaml", []byte(test.text))
			code, _, errs := runPando(t, "agent", "--check", "--config", filepath.Join(dir, "agent.yaml"))
			if code != exitFailed || !strings.Contains(errs, test.want) {
				t.Errorf("exit code %d: %s; want %q", code, errs, test.want)
			}
			if strings.Count(errs, "\n") > 1 {
				t.Errorf("more than a line: %q", errs)
			}
		})
	}
	dir := t.TempDir()
	writeFile(t, dir, "bundle.pem", roots)
	writeFile(t, dir, "agent.yaml", []byte("state_directory: s\n"+with("", "")))
	if code, out, errs := runPando(t, "agent", "--check", "-c", filepath.Join(dir, "agent.yaml")); code != exitOK || !strings.Contains(out, "is valid") {
		t.Errorf("the valid one: exit code %d: %s%s", code, out, errs)
	}
	if _, err := os.Stat(filepath.Join(dir, "s")); err == nil {
		t.Error("a check made the state directory")
	}
}

func TestASocketThatACrashLeftIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "health.sock")
	for range 2 {
		listener, err := listenAgent("unix:" + path)
		if err != nil {
			t.Fatal(err)
		}
		if other, err := listenAgent("unix:" + path); err == nil {
			other.Close()
			t.Error("a socket on which somebody listens is replaced")
		}
		listener.(*net.UnixListener).SetUnlinkOnClose(false)
		listener.Close()
	}
	writeFile(t, filepath.Dir(path), "file", nil)
	if _, err := listenAgent("unix:" + filepath.Join(filepath.Dir(path), "file")); err == nil {
		t.Error("a file is replaced by a socket")
	}
}

// Every key is explained in docs/agent.md.
func TestAgentKeysAreDocumented(t *testing.T) {
	page := string(readFile(t, "../../docs/agent.md"))
	var walk func(of reflect.Type)
	walk = func(of reflect.Type) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct {
			return
		}
		for f := range of.Fields() {
			if !strings.Contains(page, "| `"+keyOf(f)+"` |") {
				t.Errorf("%s of %s has no row in docs/agent.md", keyOf(f), of.Name())
			}
			walk(f.Type)
		}
	}
	walk(reflect.TypeFor[agentConfig]())
}
