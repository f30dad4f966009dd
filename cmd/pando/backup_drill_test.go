package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/golang-jwt/jwt/v5"

	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/storetest"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// The lifetimes of the drill. A certificate is renewed between 0.4 and 0.6 of it, and a restore
// takes seconds.
const (
	drillLong  = 40 * time.Second // of those with join tokens, which cannot enrol again
	drillShort = 24 * time.Second // of those with JWTs, which can
)

// drill is workloads that talk without a pause, and the CA that they renew with, which is destroyed
// and restored under them.
type drill struct {
	*deployment
	recipient string
	identity  string // file
	process   *process
	load      *mtlsLoad
	tokens    []*client.Source
	jwts      []*client.Source
	backedUp  map[*client.Source]string // serial numbers at the last backup
}

// TestBackupDrill destroys a CA on SQLite under workloads, restores it on Postgres, and the same way
// back. No workload is restarted, none of their handshakes fails, and nothing is missing that was
// recorded before the backup.
func TestBackupDrill(t *testing.T) {
	t.Setenv("PANDO_PROFILES", fmt.Sprintf(`[{name: workload, duration: %s, max_duration: %[1]s}]`, drillLong))
	d := newDrill(t)
	held, stop := d.sign(t)
	held.await(t, d.process, 100)

	postgres := *d.deployment
	postgres.data = d.newHome(t)
	postgres.env = append(append([]string(nil), d.env...), "PANDO_DATABASE="+pgtest.New(t))
	d.moveTo(t, &postgres)

	sqlite := postgres
	sqlite.data, sqlite.env = d.newHome(t), sqlite.env[:len(sqlite.env)-1]
	d.moveTo(t, &sqlite)

	stop()
	d.load.stop(t)
	t.Logf("%d requests and %d handshakes between workloads, %d certificates signed beside", d.load.requests.Load(), d.load.handshakes.Load(), held.count())
	if d.load.failed.Load() > 0 || d.load.requests.Load() == 0 {
		t.Errorf("%d requests failed: %q", d.load.failed.Load(), d.load.reasons)
	}
	if code := d.process.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("the last server ended with %d", code)
	}
}

// sign has an administrator sign some hundred certificates a second, until stop is called.
func (d *drill) sign(t *testing.T) (h *held, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	h = newHeld()
	var signing sync.WaitGroup
	c := d.client(t, true)
	signing.Go(func() {
		for ctx.Err() == nil {
			if serial, err := c.sign(ctx); err == nil {
				h.add(serial)
			}
			select { // also while the server is away
			case <-ctx.Done():
			case <-time.After(3 * time.Millisecond):
			}
		}
	})
	stop = func() {
		cancel()
		signing.Wait()
	}
	t.Cleanup(stop)
	return h, stop
}

func newDrill(t *testing.T) *drill {
	t.Helper()
	d := &drill{deployment: newDeployment(t, "")}
	d.recipient, d.identity = newBackupKey(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set, err := keySet(key)
	if err != nil {
		t.Fatal(err)
	}
	jwks := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(jwks, set, 0o600); err != nil {
		t.Fatal(err)
	}
	d.env = append(d.env, "PANDO_LIMITS_ADDRESS_RATE=0", "PANDO_LOG_LEVEL=warn",
		fmt.Sprintf(`PANDO_ISSUERS=[{name: drill, issuer: "https://issuer.example", audiences: [pando], jwks_file: %s}]`, jwks))
	tokens := d.entries(t)
	d.process = d.serve(t)
	d.enrol(t, tokens, key)
	return d
}

// newBackupKey is a recipient, and the file of its key.
func newBackupKey(t *testing.T) (recipient, file string) {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "key.txt")
	if err := os.WriteFile(file, []byte(identity.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return identity.Recipient().String(), file
}

// entries makes an entry and a token for each of some workloads, and one entry for those with JWTs. No
// server is running.
func (d *drill) entries(t *testing.T) (tokens []string) {
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
	for i := range 4 {
		id := fmt.Sprintf("long-%d", i)
		tokens = append(tokens, newToken(t, db, store.Entry{ID: id, SPIFFEID: "spiffe://example.org/" + id, Profile: "workload"}))
	}
	entry := storetest.NewEntry("short", "spiffe://example.org/short/{sub}")
	entry.Method, entry.Issuer, entry.DNSNames, entry.Claims = "jwt", "drill", nil, map[string]string{"team": "drill"}
	if err := db.CreateEntry(t.Context(), entry, storetest.NewAudit("entry.create", entry.ID)); err != nil {
		t.Fatal(err)
	}
	return tokens
}

// enrol enrols the workloads, and has them talk in pairs.
func (d *drill) enrol(t *testing.T, tokens []string, key *ecdsa.PrivateKey) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	d.load = &mtlsLoad{start: time.Now(), end: cancel}
	t.Cleanup(func() { d.load.stop(t) })
	common := client.Config{Servers: []string{"https://" + d.addr.REST}, TrustBundleFile: filepath.Join(d.data, caBundleName)}
	for i, token := range tokens {
		long, short := common, common
		long.JoinToken = token
		short.Duration, short.JWT = drillShort, func(context.Context) (string, error) { return newJWT(key, fmt.Sprintf("w%d", i)) }
		d.tokens = append(d.tokens, openWorkload(t, long))
		d.jwts = append(d.jwts, openWorkload(t, short))
		d.load.sources = append(d.load.sources, d.tokens[i], d.jwts[i])
		d.load.pair(ctx, t, d.tokens[i], d.jwts[i])
	}
}

// newJWT is a JWT that is good once.
func newJWT(key *ecdsa.PrivateKey, subject string) (string, error) {
	now := time.Now()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "https://issuer.example", "aud": "pando", "sub": subject, "team": "drill",
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "jti": rand.Text(),
	})
	token.Header["kid"] = "script"
	return token.SignedString(key)
}

// newHome is what is left of a machine: its configuration, the copy of the seal key, and the files of the
// administrator.
func (d *deployment) newHome(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	for _, name := range []string{configName, "seal.key", caBundleName, "admin.crt", "admin.key"} {
		text, err := os.ReadFile(filepath.Join(d.data, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

// moveTo backs the CA up, destroys it after some of what the backup does not know, restores it elsewhere,
// and waits until all have renewed there.
func (d *drill) moveTo(t *testing.T, next *deployment) {
	t.Helper()
	before := d.listed(t)
	file := filepath.Join(t.TempDir(), "backup")
	for d.backUp(t, file); !d.renewedSince(d.jwts, 1) || d.renewedSince(d.tokens, 1); {
		if d.renewedSince(d.tokens, 1) { // it could not renew again: nobody knows its new certificate
			d.backUp(t, file)
		}
		time.Sleep(50 * time.Millisecond)
	}
	d.process.end(t, syscall.SIGKILL)
	destroyed := time.Now()
	if err := os.Remove(filepath.Join(d.data, sqliteName)); err != nil && d.onSQLite() {
		t.Fatal(err)
	}

	d.deployment = next
	if out, err := d.pando("backup", "restore", file, "--identity", d.identity, "--data", d.data).CombinedOutput(); err != nil {
		t.Fatalf("restore: %v: %s", err, out)
	}
	d.process = d.serve(t)
	t.Logf("%6.1fs  restored and serving, %s after it was destroyed", d.load.elapsed(time.Now()), time.Since(destroyed).Round(time.Millisecond))
	missing := make(map[string]bool)
	for _, serial := range before {
		missing[serial] = true
	}
	for _, serial := range d.listed(t) {
		delete(missing, serial)
	}
	if len(missing) > 0 || len(before) == 0 {
		t.Errorf("%d of %d certificates that were recorded before the backup are missing", len(missing), len(before))
	}
	d.load.awaitSources(t, "has renewed there", func(s *client.Source) bool { return s.Status().LastSuccess.After(destroyed) })
}

func (d *drill) onSQLite() bool {
	return !strings.Contains(strings.Join(d.env, " "), "PANDO_DATABASE=")
}

// pando is a command beside the server.
func (d *deployment) pando(args ...string) *exec.Cmd {
	cmd := exec.Command("pando", args...)
	cmd.Env = append(os.Environ(), d.env...)
	return cmd
}

func (d *drill) backUp(t *testing.T, file string) {
	t.Helper()
	d.backedUp = make(map[*client.Source]string)
	for _, s := range d.load.sources {
		d.backedUp[s] = s.Status().Serial
	}
	out, err := d.pando("backup", "create", "--out", file, "--force", "--records", "all", "--recipient", d.recipient, "--data", d.data).CombinedOutput()
	if err != nil {
		t.Fatalf("create: %v: %s", err, out)
	}
}

// renewedSince reports whether at least n have renewed since the last backup.
func (d *drill) renewedSince(sources []*client.Source, n int) bool {
	for _, s := range sources {
		if s.Status().Serial != d.backedUp[s] {
			n--
		}
	}
	return n <= 0
}

// listed is the serial numbers of all certificates that the tests have signed, as the server lists them.
func (d *drill) listed(t *testing.T) []string {
	t.Helper()
	out, err := d.pando("cert", "list", "--spiffe-id", loadID, "--limit", "0", "-o", "id", "--server", "https://"+d.addr.REST,
		"--bundle", filepath.Join(d.data, caBundleName), "--cert", filepath.Join(d.data, "admin.crt"), "--key", filepath.Join(d.data, "admin.key")).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}
