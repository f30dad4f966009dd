package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/internal/pgserver"
)

// postgresRotations is how many certificates each side has to show.
const postgresRotations = 5

// TestPostgresRotatesUnderPools has a real Postgres with the lines of docs/postgres.md, whose
// files pando agent writes. Pools of database/sql query it without a pause through new
// certificates on both sides and a change of the root: not one query fails.
func TestPostgresRotatesUnderPools(t *testing.T) {
	for _, setting := range rotationEnv() {
		name, value, _ := strings.Cut(setting, "=")
		if name == "PANDO_PROFILES" { // that of the page, which lasts as long as the others
			value = strings.TrimSuffix(value, "]") + ", {name: db-orders, duration: 8s, max_duration: 8s, organization: [orders]}]"
		}
		t.Setenv(name, value)
	}
	p := newPostgresEnd(t)
	firstRoot := readFile(t, filepath.Join(p.ca.data, caBundleName))
	p.startAgent(t)
	p.awaitReady(t)
	p.startServer(t)
	orders, reports := p.open(t, "orders"), p.open(t, "reports")
	defer orders.Close()
	defer reports.Close()
	p.refuses(t, orders, reports)
	p.psql(t, orders)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	load := &sqlLoad{clients: make(map[string]bool), servers: make(map[string]bool)}
	pools := map[string]*sql.DB{
		"new connections": p.pool(t, orders, "orders", load), "kept connections": p.pool(t, orders, "orders", load),
		"with a password": p.pool(t, reports, "reports:secret", load),
	}
	pools["kept connections"].SetConnMaxLifetime(0)
	var working sync.WaitGroup
	for name, db := range pools {
		working.Go(func() { load.run(ctx, name, db) })
	}
	p.await(t, load, orders, firstRoot)
	stop()
	working.Wait()
	for _, db := range pools {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d queries with %d certificates of clients and %d of the server, %d failed",
		load.queries.Load(), len(load.clients), len(load.servers), load.failed.Load())
}

// postgresEnd is a server of Postgres beside an agent.
type postgresEnd struct {
	*agentEnd
	page    string // docs/postgres.md, with the paths of here
	files   string // where the agent and the server write
	address string
}

func newPostgresEnd(t *testing.T) *postgresEnd {
	t.Helper()
	p := &postgresEnd{agentEnd: newAgentEnd(t, "postgres", "orders:db-orders", "reports"), address: freeAddresses(t, 1)[0]}
	uid, gid, err := pgserver.Owner()
	if err != nil {
		t.Fatal(err)
	}
	if p.files, err = os.MkdirTemp("", "pando-postgres-"); err != nil { //nolint:usetesting // nobody else can enter t.TempDir
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(p.files) }) // it is a folder for temporary files
	if err := os.Chown(p.files, uid, gid); err != nil {
		t.Fatal(err)
	}
	owner := "owner: " + strconv.Itoa(uid)
	if os.Getuid() != 0 {
		owner = "" // who is not root can give files to nobody
	}
	page := string(readFile(t, "../../docs/postgres.md"))
	p.page = strings.NewReplacer(
		"/etc/postgresql/pando", p.files+"/pando", "/run/postgresql", p.files,
		"/etc/pando", p.dir, "owner: postgres", owner, "listen_addresses = '*'", "listen_addresses = '127.0.0.1'",
	).Replace(page)
	head := fmt.Sprintf("state_directory: state\nlisten: %s\nservers: [https://%s]\ntrust_bundle_file: %s/bundle.pem\n",
		p.health, p.ca.addr.REST, p.ca.data)
	writeFile(t, p.dir, "agent.yaml", []byte(head+p.block(t, "yaml", "pid_file")))
	return p
}

// block is the one block of the page in a language that says something.
func (p *postgresEnd) block(t *testing.T, language, says string) string {
	t.Helper()
	for _, part := range strings.Split(p.page, "\n```"+language+"\n")[1:] {
		text, _, _ := strings.Cut(part, "\n```")
		if strings.Contains(text, says) {
			return text + "\n"
		}
	}
	t.Fatalf("docs/postgres.md has no block in %s with %q", language, says)
	return ""
}

// startServer starts Postgres as the page says. Over the Unix socket the superuser comes in.
func (p *postgresEnd) startServer(t *testing.T) {
	t.Helper()
	settings := make(map[string]string)
	for line := range strings.Lines(p.block(t, "ini", "ssl = on")) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " = ")
		settings[name] = strings.Trim(value, "'")
	}
	for name, text := range map[string]string{
		"hba_file": "local all postgres trust\n" + p.block(t, "conf", "hostssl"), "ident_file": p.block(t, "conf", "O=orders"),
	} {
		settings[name] = filepath.Join(p.files, name)
		if err := os.WriteFile(settings[name], []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	_, port, _ := net.SplitHostPort(p.address)
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	server, err := pgserver.Start(t.Context(), pgserver.Config{Settings: settings, Port: number})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	db, err := pgx.Connect(t.Context(), server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	if _, err := db.Exec(t.Context(), "CREATE ROLE orders LOGIN; CREATE ROLE reports LOGIN PASSWORD 'secret'"); err != nil {
		t.Fatal(err)
	}
}

// open enrols a workload.
func (p *postgresEnd) open(t *testing.T, name string) *client.Source {
	t.Helper()
	return openWorkload(t, client.Config{
		Servers: p.servers(), TrustBundleFile: filepath.Join(p.ca.data, caBundleName), JoinToken: p.tokens[name],
	})
}

func (p *postgresEnd) id(s *client.Source) spiffeid.ID {
	id, err := spiffeid.Join(s.TrustDomain(), "postgres")
	if err != nil {
		panic(err) // it is one
	}
	return id
}

// connection is the one of the page, with a user and perhaps a password.
func (p *postgresEnd) connection(t *testing.T, user string, config *tls.Config) *pgx.ConnConfig {
	t.Helper()
	mode := "require"
	if config == nil {
		mode = "disable"
	}
	cfg, err := pgx.ParseConfig("postgres://" + user + "@" + p.address + "/postgres?sslmode=" + mode)
	if err != nil {
		t.Fatal(err)
	}
	cfg.TLSConfig = config
	for _, other := range cfg.Fallbacks {
		other.TLSConfig = config
	}
	return cfg
}

// refuses makes sure of who does not get in.
func (p *postgresEnd) refuses(t *testing.T, orders, reports *client.Source) {
	t.Helper()
	postgres := client.AuthorizeID(p.id(orders))
	for name, test := range map[string]struct {
		user   string
		config *tls.Config
		want   string
	}{
		"another workload":                      {"orders", reports.ClientTLS(postgres), "certificate authentication failed"},
		"another workload, as anybody":          {"postgres", reports.ClientTLS(postgres), "no pg_hba.conf entry"},
		"the wrong password":                    {"reports:guessed", reports.ClientTLS(postgres), "password authentication failed"},
		"a password without a certificate":      {"reports:secret", &tls.Config{InsecureSkipVerify: true}, "valid client certificate"},
		"a password without TLS":                {"reports:secret", nil, "no encryption"},
		"a workload that looks for another one": {"orders", orders.ClientTLS(client.AuthorizeID(orders.ID())), "not among those allowed"},
	} {
		db, err := pgx.ConnectConfig(t.Context(), p.connection(t, test.user, test.config))
		if err == nil {
			_ = db.Close(t.Context()) // the test has failed
		}
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// psql has the files of an identity, as everything that is built on libpq.
func (p *postgresEnd) psql(t *testing.T, s *client.Source) {
	t.Helper()
	cert, err := s.Certificate()
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var chain bytes.Buffer
	for _, der := range cert.Certificate {
		if err := pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	host, port, _ := net.SplitHostPort(p.address)
	target := fmt.Sprintf("host=%s port=%s user=orders dbname=postgres sslmode=verify-ca sslcert=%s sslkey=%s sslrootcert=%s", host, port,
		writeFile(t, dir, "cert.pem", chain.Bytes()),
		writeFile(t, dir, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})),
		filepath.Join(p.files, "pando/current/bundle.pem"))
	binaries, err := pgserver.FindBinaries()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join(binaries, "psql"), "-X", "-A", "-t", "-c", "SELECT current_user", target).CombinedOutput()
	if err != nil || string(out) != "orders\n" {
		t.Errorf("psql: %v %s", err, out)
	}
}

// pool is one whose connections last for a moment, and whose handshakes are noted.
func (p *postgresEnd) pool(t *testing.T, s *client.Source, user string, l *sqlLoad) *sql.DB {
	t.Helper()
	postgres := client.AuthorizeID(p.id(s))
	config := s.ClientTLS(func(peer client.Peer) error {
		l.mu.Lock()
		l.servers[peer.Certificate.SerialNumber.String()] = true
		l.mu.Unlock()
		return postgres(peer)
	})
	db := stdlib.OpenDB(*p.connection(t, user, config))
	db.SetConnMaxLifetime(100 * time.Millisecond)
	return db
}

// await returns once each side has had enough certificates and the first root is gone from
// both, under load the whole way.
func (p *postgresEnd) await(t *testing.T, l *sqlLoad, s *client.Source, firstRoot []byte) {
	t.Helper()
	first, _ := pem.Decode(firstRoot)
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		clients, servers := l.certificates()
		gone := !bytes.Contains(readFile(t, filepath.Join(p.files, "pando/current/bundle.pem")), firstRoot)
		for _, root := range s.Roots() {
			gone = gone && !bytes.Equal(root.Raw, first.Bytes)
		}
		switch {
		case l.failed.Load() > 0:
			l.mu.Lock()
			defer l.mu.Unlock()
			t.Fatalf("queries failed: %q", l.reasons)
		case gone && clients > postgresRotations && servers > postgresRotations:
			return
		case time.Now().After(deadline):
			t.Fatalf("%d certificates of clients, %d of the server, the first root is gone: %t", clients, servers, gone)
		}
	}
}

// sqlLoad is what pools ask without a pause.
type sqlLoad struct {
	queries, failed atomic.Int64

	mu               sync.Mutex
	clients, servers map[string]bool // serial numbers
	reasons          []string
}

func (l *sqlLoad) run(ctx context.Context, name string, db *sql.DB) {
	for ctx.Err() == nil {
		if err := l.query(ctx, db); err != nil && ctx.Err() == nil {
			l.failed.Add(1)
			l.mu.Lock()
			if len(l.reasons) < 10 {
				l.reasons = append(l.reasons, fmt.Sprintf("%s %s: %v", time.Now().Format("05.000"), name, err))
			}
			l.mu.Unlock()
		}
		time.Sleep(5 * time.Millisecond) // leaves the machine usable
	}
}

// query asks the server whom it takes us for.
func (l *sqlLoad) query(ctx context.Context, db *sql.DB) error {
	var serial, version string
	err := db.QueryRowContext(ctx, "SELECT client_serial::text, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&serial, &version)
	if err != nil {
		return err
	}
	if version != "TLSv1.3" {
		return fmt.Errorf("version %s", version)
	}
	l.queries.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clients[serial] = true
	return nil
}

func (l *sqlLoad) certificates() (clients, servers int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.clients), len(l.servers)
}
