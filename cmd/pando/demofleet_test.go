package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc"
	grpctls "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	apiv1 "github.com/pando-ca/pando/api/v1"
	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/client/prom"
	"github.com/pando-ca/pando/internal/pgserver"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// demoFleet is two replicas on Postgres with short lifetimes, a program that serves, one that calls
// it, an agent, and an administrator: to them happens whatever there is a panel for.
type demoFleet struct {
	rotating
	admin     *administrator
	web, asks *demoProgram
	agent     string // address of its metrics
	dir       string
}

// demoProgram is a program with the client library, and a page of its own for Prometheus.
type demoProgram struct {
	*client.Source
	metrics string // address
}

// newDemoFleet starts what is scraped.
func newDemoFleet(t *testing.T) *demoFleet {
	t.Helper()
	f := &demoFleet{dir: t.TempDir(), agent: freeAddresses(t, 1)[0]}
	f.configure(t)
	f.rotating = *newRotating(t, pgtest.Start(t, pgserver.Config{}))
	f.admin = f.administrator(t)
	f.web = f.program(t, store.Entry{ID: "ent_web", SPIFFEID: "spiffe://example.org/web", Profile: "workload", Watch: true})
	f.asks = f.program(t, store.Entry{ID: "ent_asks", SPIFFEID: "spiffe://example.org/asks", Profile: "workload"})
	f.startAgent(t)
	return f
}

// configure sets what both replicas have in common, init included.
func (f *demoFleet) configure(t *testing.T) {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keySet(key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, f.dir, "jwks.json", keys)
	for _, setting := range append(rotationEnv(),
		"PANDO_FIGURES_SCHEDULE=@every 1s", "PANDO_CRL_SCHEDULE=@every 1s", "PANDO_CRL_PERIOD=1m",
		"PANDO_BACKUP_SCHEDULE=@every 5s", "PANDO_BACKUP_KEEP=2", "PANDO_BACKUP_DIRECTORY="+filepath.Join(f.dir, "backups"),
		"PANDO_BACKUP_RECIPIENTS=["+identity.Recipient().String()+"]",
		fmt.Sprintf(`PANDO_ISSUERS=[{name: demo, issuer: "https://issuer.example", audiences: [pando], jwks_file: %s}]`, filepath.Join(f.dir, "jwks.json")),
	) {
		name, value, _ := strings.Cut(setting, "=")
		t.Setenv(name, value)
	}
}

// targets is what Prometheus scrapes, by job.
func (f *demoFleet) targets() map[string][]string {
	return map[string][]string{
		"pando": {f.replicas[0].addr.Metrics, f.replicas[1].addr.Metrics},
		"web":   {f.web.metrics}, "asks": {f.asks.metrics}, "agent": {f.agent},
	}
}

// program enrols one that is scraped.
func (f *demoFleet) program(t *testing.T, entry store.Entry) *demoProgram {
	t.Helper()
	metrics, registry := prom.New(), prometheus.NewRegistry()
	registry.MustRegister(metrics)
	source := openWorkload(t, client.Config{
		Servers: f.urls(), TrustBundle: f.replicas[0].bundle(t), JoinToken: newToken(t, openPostgres(t, f.url), entry), Metrics: metrics,
	})
	t.Cleanup(func() { _ = source.Close() })
	metrics.Watch(source)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	page := &http.Server{Handler: promhttp.HandlerFor(registry, promhttp.HandlerOpts{})}
	go func() { _ = page.Serve(listener) }()
	t.Cleanup(func() { _ = page.Close() })
	return &demoProgram{source, listener.Addr().String()}
}

// demoAgentYAML has a hook that fails each time.
const demoAgentYAML = `
state_directory: state
listen: {{.Listen}}
servers: ["{{.Server}}"]
trust_bundle_file: bundle.pem
hooks:
  - {name: reload, command: ["false"], delay: 100ms}
identities:
  - {name: proxy, join_token_file: proxy.token, output: {directory: proxy}, hooks: [reload]}
`

func (f *demoFleet) startAgent(t *testing.T) {
	t.Helper()
	token := newToken(t, openPostgres(t, f.url), store.Entry{ID: "ent_proxy", SPIFFEID: "spiffe://example.org/proxy", Profile: "workload"})
	writeFile(t, f.dir, "proxy.token", []byte(token))
	writeFile(t, f.dir, "bundle.pem", f.replicas[0].bundle(t))
	writeFile(t, f.dir, "agent.yaml", expand(t, demoAgentYAML, map[string]string{"Listen": f.agent, "Server": f.urls()[0]}))
	startProcess(t, "the agent", exec.Command("pando", "agent", "--config", filepath.Join(f.dir, "agent.yaml")))
}

// start has the programs talk until the end of the test, in all ways that there are.
func (f *demoFleet) start(t *testing.T) {
	t.Helper()
	api := f.listen(t, client.ListenerConfig{Name: "api", Mode: client.ModePolicy})
	internal := f.listen(t, client.ListenerConfig{Name: "internal"})
	legacy := f.listen(t, client.ListenerConfig{Name: "legacy", Mode: client.ModeDisabled})
	f.admin.call(t, http.MethodPut, "/v1/mtls/policies", map[string]string{"pattern": "/**", "mode": "permissive"}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var talking sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		talking.Wait()
	})
	stranger := catest.New(t, catest.Options{}).Issue(t, "spiffe://example.org/asks", catest.Leaf{})
	dialer := f.asks.Dialer(client.DialerConfig{Authorize: client.AuthorizeID(f.web.ID())})
	nobody := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	unknown := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{stranger}}}
	for address, dials := range map[string][]dial{
		api:      {dialer.DialContext, new(net.Dialer).DialContext, nobody.DialContext, unknown.DialContext},
		internal: {dialer.DialContext, new(net.Dialer).DialContext},
		legacy:   {new(net.Dialer).DialContext},
	} {
		for _, d := range dials {
			talking.Go(func() { talk(ctx, d, address) })
		}
	}
}

// listen serves a listener of web with an echo.
func (f *demoFleet) listen(t *testing.T, cfg client.ListenerConfig) (address string) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg.Authorize = client.AuthorizeID(f.asks.ID())
	listener := f.web.Listener(inner, cfg)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn) // until either side ends it
			}()
		}
	}()
	return inner.Addr().String()
}

type dial func(ctx context.Context, network, address string) (net.Conn, error)

// talk connects several times a second. That it fails in one of the ways is intended, and seen in
// the metrics.
func talk(ctx context.Context, d dial, address string) {
	for ctx.Err() == nil {
		if conn, err := d(ctx, "tcp", address); err == nil {
			_ = conn.SetDeadline(time.Now().Add(time.Second))
			if _, err := io.WriteString(conn, "?"); err == nil {
				_, _ = io.ReadFull(conn, make([]byte, 1))
			}
			_ = conn.Close()
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// happen has an administrator do what happens once, or rarely.
func (f *demoFleet) happen(t *testing.T) {
	t.Helper()
	f.admin.call(t, http.MethodPost, "/v1/mtls/overrides", map[string]string{"pattern": "/web", "reason": "to be seen", "duration": "30m"}, nil)
	f.refusals(t)
	f.leave(t)
	f.steal(t)
	f.taint(t)
}

// refusals asks for certificates without credentials, with wrong ones, and for what nobody may have.
func (f *demoFleet) refusals(t *testing.T) {
	t.Helper()
	csr := f.replicas[0].client(t, true).csr
	for _, ask := range []struct {
		spiffeID, token string
		want            int
	}{
		{"spiffe://example.org/web", "eyJhbGciOiJFUzI1NiJ9.e30.AAAA", http.StatusUnauthorized},
		{"spiffe://elsewhere.example/web", "", http.StatusForbidden},
	} {
		body := fmt.Sprintf(`{"csr":%q,"spiffe_id":%q}`, csr, ask.spiffeID)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.admin.url+"/v1/certificates", bytes.NewReader([]byte(body)))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		if ask.token != "" {
			request.Header.Set("Authorization", "Bearer "+ask.token)
		}
		resp, err := f.admin.http.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body) // for the message only
		_ = resp.Body.Close()
		if resp.StatusCode != ask.want {
			t.Errorf("%s is answered %d: %s, want %d", ask.spiffeID, resp.StatusCode, text, ask.want)
		}
	}
}

// leave has somebody enrol over gRPC who never renews: it is overdue, and then expired.
func (f *demoFleet) leave(t *testing.T) {
	t.Helper()
	const id = "spiffe://example.org/leaves"
	token := newToken(t, openPostgres(t, f.url), store.Entry{ID: "ent_leaves", SPIFFEID: id, Profile: "workload"})
	pando, err := spiffeid.Join(f.asks.TrustDomain(), "pando", "server")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(f.replicas[1].addr.GRPC, grpc.WithTransportCredentials(grpctls.NewTLS(f.asks.ClientTLS(client.AuthorizeID(pando)))))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	request := rpcRequest(t)
	request.SpiffeId = id
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token)
	if _, err := apiv1.NewCertificateServiceClient(conn).SignCertificate(ctx, request); err != nil {
		t.Fatal(err)
	}
}

// steal has a certificate revoked.
func (f *demoFleet) steal(t *testing.T) {
	t.Helper()
	const id = "spiffe://example.org/stolen"
	source := f.enrol(t, newToken(t, openPostgres(t, f.url), store.Entry{ID: "ent_stolen", SPIFFEID: id, Profile: "workload"}))
	f.admin.call(t, http.MethodPost, "/v1/revocations", map[string]string{"spiffe_id": id, "reason": "key_compromise"}, nil)
	if err := source.Close(); err != nil {
		t.Error(err)
	}
}

// taint begins an incident, as soon as the rotation lets it begin.
func (f *demoFleet) taint(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(startLimit); ; time.Sleep(100 * time.Millisecond) {
		path := "/v1/authorities/" + f.active(t, f.admin, ca.RoleIntermediate) + "/taint"
		if f.admin.call(t, http.MethodPost, path, map[string]string{"reason": "to be seen"}, nil) != http.StatusConflict {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s no issuer can be tainted", startLimit)
		}
	}
}
