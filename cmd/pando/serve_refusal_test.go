package main

import (
	"context"
	"database/sql"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/keystore"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// appendTo adds a line to pando.yaml.
func (d *deployment) appendTo(t *testing.T, line string) {
	t.Helper()
	path := filepath.Join(d.data, configName)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	writeTestFile(t, path, string(text)+line+"\n")
}

// changeGeneration replaces the generation with a changed copy.
func (d *deployment) changeGeneration(t *testing.T, change func(*store.Generation)) {
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
	gen, err := db.Generation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := *gen
	next.Number++
	change(&next)
	if err := db.ReplaceGeneration(t.Context(), gen.Number, next, store.Fence{}, store.Audit{At: time.Now(), Actor: "test"}); err != nil {
		t.Fatal(err)
	}
}

// foreignKey is a key that belongs to no certificate, sealed as the intermediate's is.
func (d *deployment) foreignKey(t *testing.T) []byte {
	t.Helper()
	cfg, err := configSource{data: d.data}.load()
	if err != nil {
		t.Fatal(err)
	}
	v, err := openVault("", cfg.SealKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	td, err := cfg.trustDomain()
	if err != nil {
		t.Fatal(err)
	}
	_, ref, err := v.keys.Create(ca.ECDSAP256, ca.KeyLabel(td, ca.RoleIntermediate))
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// executeSQLite runs a statement on the database behind Pando's back.
func (d *deployment) executeSQLite(t *testing.T, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(d.data, "pando.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// serveLimit bounds a serve that is expected to end at once: if it serves instead, it is told to
// stop and the test fails for its exit code.
const serveLimit = 20 * time.Second

// refusedServe runs pando serve, with more environment, until it ends.
func (d *deployment) refusedServe(t *testing.T, env ...string) (code int, errs string) {
	t.Helper()
	for _, variable := range append(d.env, env...) {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
	ctx, cancel := context.WithTimeout(t.Context(), serveLimit)
	defer cancel()
	var out, stderr lockedBuffer
	code = run(ctx, []string{"serve", "--data", d.data}, stdio{in: strings.NewReader(""), out: &out, err: &stderr})
	for line := range strings.Lines(stderr.String()) {
		if strings.HasPrefix(line, "pando: ") {
			errs = stderr.String()[strings.Index(stderr.String(), line):]
			break
		}
	}
	return code, errs
}

func TestServeRefusesToStart(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	silent := listener.Addr().String() // the kernel accepts, and nobody answers

	for name, test := range map[string]struct {
		flags  []string // of init
		tamper func(t *testing.T, d *deployment)
		env    []string
		code   int
		want   string
	}{
		"on an unknown key": {
			tamper: func(t *testing.T, d *deployment) { d.appendTo(t, "listne: {}") },
			code:   exitFailed, want: `unknown key "listne" (did you mean "listen"?)`,
		},
		"on an unknown variable": {
			env: []string{"PANDO_LISTEN_RESTT=:1"}, code: exitFailed, want: `unknown variable PANDO_LISTEN_RESTT`,
		},
		"on a value out of bounds": {
			env: []string{"PANDO_REFRESH_HINT=0s"}, code: exitFailed, want: "refresh_hint: 0s is not between",
		},
		"without a database": {
			tamper: func(t *testing.T, d *deployment) { os.Remove(filepath.Join(d.data, "pando.db")) },
			code:   exitFailed, want: "make a CA there with pando init",
		},
		"on an older schema": {
			tamper: func(t *testing.T, d *deployment) {
				d.executeSQLite(t, "DELETE FROM schema_version WHERE version_id > 0")
			},
			code: exitFailed, want: "run pando migrate, or start with --migrate",
		},
		"on a newer schema": {
			tamper: func(t *testing.T, d *deployment) {
				d.executeSQLite(t, "INSERT INTO schema_version (version_id, is_applied) VALUES (999, 1)")
				d.executeSQLite(t, "UPDATE schema_compatibility SET since = 999")
			},
			code: exitFailed, want: "newer than this binary",
		},
		"on a newer schema with migrate": {
			tamper: func(t *testing.T, d *deployment) {
				d.executeSQLite(t, "INSERT INTO schema_version (version_id, is_applied) VALUES (999, 1)")
				d.executeSQLite(t, "UPDATE schema_compatibility SET since = 999")
			},
			env: []string{"PANDO_MIGRATE=true"}, code: exitFailed, want: "newer than this binary",
		},
		"without a CA": {
			tamper: func(t *testing.T, d *deployment) {
				os.Remove(filepath.Join(d.data, "pando.db"))
				if code, _, errs := runPando(t, "migrate", "--data", d.data); code != exitOK {
					t.Fatal(errs)
				}
			},
			code: exitFailed, want: "the database holds no CA: make one with pando init",
		},
		"without a seal key": {
			tamper: func(t *testing.T, d *deployment) { os.Remove(filepath.Join(d.data, "seal.key")) },
			code:   exitFailed, want: "there is no seal key",
		},
		"with another seal key": {
			env:  []string{sealKeyVariable + "=AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="},
			code: exitFailed, want: "the seal key is not that of this CA",
		},
		"with a seal key that others can read": {
			tamper: func(t *testing.T, d *deployment) { os.Chmod(filepath.Join(d.data, "seal.key"), 0o644) },
			code:   exitFailed, want: "seal.key",
		},
		"with a key that is not the issuer's": {
			tamper: func(t *testing.T, d *deployment) {
				key := d.foreignKey(t)
				d.changeGeneration(t, func(g *store.Generation) { g.Authorities[1].Key = key })
			},
			code: exitFailed, want: "key and certificate do not match",
		},
		"with the key of another place": {
			tamper: func(t *testing.T, d *deployment) {
				d.changeGeneration(t, func(g *store.Generation) { g.Authorities[1].Key = g.Authorities[0].Key })
			},
			code: exitFailed, want: keystore.ErrOpen.Error(),
		},
		"on another trust domain": {
			tamper: func(t *testing.T, d *deployment) {
				writeTestFile(t, filepath.Join(d.data, configName), "trust_domain: other.example.org")
			},
			code: exitFailed, want: "the configuration says trust domain other.example.org, and the database holds the CA of example.org",
		},
		"on a lifetime that the issuer does not cover": {
			env:  []string{"PANDO_LIFETIMES_INTERMEDIATE=140d", "PANDO_PROFILES=[{name: long, max_duration: 150d}]"},
			code: exitFailed, want: `lifetimes.intermediate: 140d does not cover a certificate of profile "long"`,
		},
		"on an issuer without a usable key file": {
			env:  []string{"PANDO_ISSUERS=[{name: ci, issuer: https://ci.example.org, audiences: [pando], jwks_file: /nonexistent}]"},
			code: exitFailed, want: `issuers "ci": `,
		},
		"on an unreachable database": {
			env:  []string{"PANDO_DATABASE=postgres://pando:hidden@127.0.0.1:1/pando", "PANDO_TIMEOUTS_STARTUP=1s"},
			code: exitUnavailable, want: "database: ",
		},
		"on a database that accepts and does not answer": {
			env:  []string{"PANDO_DATABASE=postgres://pando:hidden@" + silent + "/pando?connect_timeout=1", "PANDO_TIMEOUTS_STARTUP=0s"},
			code: exitUnavailable, want: "database: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDeployment(t, "", test.flags...)
			if test.tamper != nil {
				test.tamper(t, d)
			}
			code, errs := d.refusedServe(t, test.env...)
			if code != test.code || !strings.Contains(errs, test.want) || strings.Count(errs, "\n") != 1 || strings.Contains(errs, "hidden") {
				t.Errorf("exit code %d: %q, want %d and %q", code, errs, test.code, test.want)
			}
		})
	}
}

func TestServeRefusesAnAddressInUse(t *testing.T) {
	d := newDeployment(t, "")
	listener, err := net.Listen("tcp", d.addr.GRPC)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if code, errs := d.refusedServe(t); code != exitFailed || !strings.Contains(errs, "listen.grpc: ") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	// What was open already is closed again.
	again, err := net.Listen("tcp", d.addr.REST)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestServeRefusesADirectoryInUse(t *testing.T) {
	d := newDeployment(t, "")
	d.serve(t)
	if code, errs := d.refusedServe(t); code != exitFailed || !strings.Contains(errs, "in use by another process") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

func TestServeMigratesOnRequest(t *testing.T) {
	d := newDeployment(t, "")
	empty := pgtest.New(t)
	code, errs := d.refusedServe(t, "PANDO_DATABASE="+empty, "PANDO_MIGRATE=true")
	if code != exitFailed || !strings.Contains(errs, "the database holds no CA") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if code, out, errs := runPando(t, "migrate", "--database", empty); code != exitOK || strings.Contains(out, "hidden") {
		t.Errorf("migrate again: exit code %d: %s", code, errs)
	}
}

func TestMigrateRefusesWrongUsage(t *testing.T) {
	for name, args := range map[string][]string{
		"a database that is no URL":     {"--database", "host=db"},
		"a database and a directory":    {"--database", "postgres://h/d", "--data", "x"},
		"a directory and a file":        {"--config", "a", "--data", "x"},
		"an argument that is not taken": {"up"},
	} {
		if code, _, errs := runPando(t, append([]string{"migrate"}, args...)...); code != exitUsage {
			t.Errorf("%s: exit code %d: %s", name, code, errs)
		}
	}
}
