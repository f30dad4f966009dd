package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/postgres"
	"github.com/pando-ca/pando/store/storetest/pgtest"
)

// snapshot is every file under a directory with the hash of what it holds.
func snapshot(t *testing.T, dir string) map[string][32]byte {
	t.Helper()
	files := make(map[string][32]byte)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, dir)] = sha256.Sum256(content)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return files
}

// verifyCA opens what init made, as serve would, and returns its root.
func verifyCA(t *testing.T, data string) *x509.Certificate {
	t.Helper()
	cfg, err := configSource{data: data}.load()
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	v, err := openVault(os.Getenv(sealKeyVariable), cfg.SealKeyFile)
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
	set, err := openSet(v, &cfg, gen, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	verifyAdministrator(t, data, set, db)
	bundle, err := os.ReadFile(filepath.Join(data, "bundle.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if block, _ := pem.Decode(bundle); block == nil || !cmp.Equal(block.Bytes, set.Roots()[0].Raw) {
		t.Error("bundle.pem does not hold the root")
	}
	if _, err := os.Lstat(filepath.Join(data, claimName)); err == nil {
		t.Error("the claim is still there")
	}
	return set.Roots()[0]
}

// verifyAdministrator checks that the administrator's files are a pair that the CA vouches for,
// and that the certificate was recorded.
func verifyAdministrator(t *testing.T, data string, set *ca.Set, db database) {
	t.Helper()
	d := deployment{data: data}
	leaf := d.tls(t).Certificates[0].Leaf
	id, err := set.VerifyPeer(leaf, nil, time.Now())
	if err != nil || id.String() != "spiffe://example.org/pando/admin/admin" {
		t.Errorf("the administrator's certificate is for %s: %v", id, err)
	}
	serial, _ := ca.SerialOf(leaf)
	record, err := db.Record(t.Context(), store.Serial(serial))
	if err != nil || record.Caller != "pando init" || record.Profile != profileAdministrator {
		t.Errorf("the record of the administrator's certificate is %+v, %v", record, err)
	}
	for name, mode := range map[string]fs.FileMode{"": 0o700, "admin.key": 0o600, "pando.yaml": 0o600} {
		info, err := os.Stat(filepath.Join(data, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%q: %v, %v, want mode %o", name, info, err, mode)
		}
	}
}

func TestInitMakesACA(t *testing.T) {
	t.Setenv("PANDO_CONTEXT_FILE", filepath.Join(t.TempDir(), "contexts.yaml"))
	for name, test := range map[string]struct{ database, sealKey string }{
		"on SQLite":                               {},
		"on Postgres":                             {database: pgtest.New(t)},
		"with a seal key in the environment":      {sealKey: "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="},
		"on a database that was migrated already": {database: migrated(t)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(sealKeyVariable, test.sealKey)
			data := filepath.Join(t.TempDir(), "new", "data")
			code, out, errs := runPando(t, "init", "--trust-domain", "example.org", "--data", data, "--database", test.database,
				"--dns-name", "pando.example.org", "--intermediate-lifetime", "100d", "--root-lifetime", "400d", "-o", "json")
			if code != exitOK {
				t.Fatalf("exit code %d: %s", code, errs)
			}
			root := verifyCA(t, data)
			var result initResult
			if err := json.Unmarshal([]byte(out), &result); err != nil {
				t.Fatal(err)
			}
			if !result.Created || result.Authorities[0].Fingerprint != fingerprint(root.Raw) || result.Admin == nil {
				t.Errorf("the result does not describe what was made: %s", out)
			}
			_, err := os.Stat(filepath.Join(data, "seal.key"))
			if inFile := err == nil; inFile == (test.sealKey != "") {
				t.Errorf("seal key in a file: %t, in the environment: %t", inFile, test.sealKey != "")
			}
			if life := root.NotAfter.Sub(root.NotBefore); life != 400*day+ca.MaxSkew {
				t.Errorf("the root lives for %s", life)
			}
			cfg, err := configSource{data: data}.load()
			if err != nil || !cmp.Equal(cfg.Serving.DNSNames, []string{"pando.example.org"}) || cfg.Lifetimes.Intermediate != duration(100*day) {
				t.Errorf("pando.yaml lacks what was chosen: %+v, %v", cfg, err)
			}
		})
	}
}

// migrated is a database with the schema and nothing else.
func migrated(t *testing.T) string {
	t.Helper()
	url := pgtest.New(t)
	if err := postgres.Migrate(t.Context(), postgres.Config{URL: url}); err != nil {
		t.Fatal(err)
	}
	return url
}

func TestInitChangesNothingThatExists(t *testing.T) {
	t.Setenv("PANDO_CONTEXT_FILE", filepath.Join(t.TempDir(), "contexts.yaml"))
	database := pgtest.New(t)
	first := newDeployment(t, database)
	for name, prepare := range map[string]func(t *testing.T, data string) []string{
		"a CA": func(t *testing.T, data string) []string {
			if err := os.CopyFS(data, os.DirFS(first.data)); err != nil {
				t.Fatal(err)
			}
			return nil
		},
		"a seal key": func(t *testing.T, data string) []string {
			writeTestFile(t, filepath.Join(data, "seal.key"), "something")
			return nil
		},
		"a configuration": func(t *testing.T, data string) []string {
			writeTestFile(t, filepath.Join(data, "pando.yaml"), "trust_domain: example.org")
			return nil
		},
		"an administrator's key": func(t *testing.T, data string) []string {
			writeTestFile(t, filepath.Join(data, "admin.key"), "something")
			return nil
		},
		"a database in use by another directory": func(*testing.T, string) []string {
			return []string{"--database", database}
		},
	} {
		t.Run(name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			flags := prepare(t, data)
			before := snapshot(t, data)
			args := append([]string{"init", "--trust-domain", "example.org", "--data", data}, flags...)
			code, _, errs := runPando(t, args...)
			if code != exitFailed || !strings.Contains(errs, "nothing was changed") || strings.Count(errs, "\n") != 1 {
				t.Errorf("exit code %d: %s", code, errs)
			}
			if diff := cmp.Diff(before, snapshot(t, data)); diff != "" {
				t.Error(diff)
			}
		})
	}
	verifyCA(t, first.data)
}

// A directory that was prepared by hand is no CA; no command says that it is one, and what init
// advises leads to one.
func TestADirectoryWithoutACA(t *testing.T) {
	t.Setenv("PANDO_CONTEXT_FILE", filepath.Join(t.TempDir(), "contexts.yaml"))
	data := filepath.Join(t.TempDir(), "data")
	writeTestFile(t, filepath.Join(data, configName), "trust_domain: example.org\n")
	writeTestFile(t, filepath.Join(data, "seal.key"), "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\n")
	initArgs := []string{"init", "--trust-domain", "example.org", "--data", data}
	for _, migrated := range []bool{false, true} {
		if migrated {
			if code, _, errs := runPando(t, "migrate", "--data", data); code != exitOK {
				t.Fatalf("migrate: exit code %d: %s", code, errs)
			}
		}
		code, _, errs := runPando(t, "serve", "--data", data)
		if code != exitFailed || !strings.Contains(errs, "pando init") || strings.Contains(errs, "migrate") {
			t.Errorf("serve: exit code %d: %s", code, errs)
		}
		for _, args := range [][]string{initArgs, append(initArgs, "--if-needed")} {
			code, _, errs = runPando(t, args...)
			if code != exitFailed || !strings.Contains(errs, data+": pando.yaml, seal.key; nothing was changed") || !strings.Contains(errs, "move these files away") {
				t.Errorf("%s: exit code %d: %s", args, code, errs)
			}
		}
	}
	for _, name := range []string{configName, "seal.key"} {
		if err := os.Rename(filepath.Join(data, name), filepath.Join(data, name+".mine")); err != nil {
			t.Fatal(err)
		}
	}
	if code, _, errs := runPando(t, initArgs...); code != exitOK {
		t.Fatalf("init: exit code %d: %s", code, errs)
	}
	verifyCA(t, data)
}

func writeTestFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestInitIfNeeded(t *testing.T) {
	d := newDeployment(t, "")
	before := snapshot(t, d.data)
	code, out, errs := runPando(t, "init", "--trust-domain", "example.org", "--data", d.data, "--if-needed")
	if code != exitOK || !strings.Contains(out, "there already") {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	code, _, errs = runPando(t, "init", "--trust-domain", "other.example.org", "--data", d.data, "--if-needed")
	if code != exitFailed || !strings.Contains(errs, "the database holds the CA of example.org") {
		t.Errorf("another trust domain: exit code %d: %s", code, errs)
	}
	if diff := cmp.Diff(before, snapshot(t, d.data)); diff != "" {
		t.Error(diff)
	}
}

func TestInitRefusesWrongUsage(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no trust domain":             {nil, "--trust-domain is required"},
		"a trust domain that is none": {[]string{"--trust-domain", "Example"}, "trust_domain: "},
		"an administrator's name":     {[]string{"--trust-domain", "example.org", "--admin", "a/b"}, "name of the administrator: "},
		"a database that is no URL":   {[]string{"--trust-domain", "example.org", "--database", "host=db"}, "database: is not a URL"},
		"an intermediate too short":   {[]string{"--trust-domain", "example.org", "--intermediate-lifetime", "1d"}, "lifetimes.intermediate: "},
		"an output unknown":           {[]string{"--trust-domain", "example.org", "-o", "xml"}, `output "xml"`},
		"a lifetime that is none":     {[]string{"--trust-domain", "example.org", "--root-lifetime", "long"}, "invalid argument"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, errs := runPando(t, append([]string{"init", "--data", data}, test.args...)...)
			if code != exitUsage || !strings.Contains(errs, test.want) {
				t.Errorf("exit code %d: %s", code, errs)
			}
		})
	}
	if _, err := os.Lstat(data); err == nil {
		t.Error("the data directory was made")
	}
}

// What an init leaves that dies between two of its steps, the next one completes.
func TestInitGoesOnAfterACrash(t *testing.T) {
	claim := func(t *testing.T, data string) {
		writeTestFile(t, filepath.Join(data, claimName), "example.org admin\n")
	}
	whole := newDeployment(t, "")
	with := func(remove ...string) func(t *testing.T, data string) {
		return func(t *testing.T, data string) {
			if err := os.CopyFS(data, os.DirFS(whole.data)); err != nil {
				t.Fatal(err)
			}
			for _, name := range remove {
				if err := os.Remove(filepath.Join(data, name)); err != nil {
					t.Fatal(err)
				}
			}
			claim(t, data)
		}
	}
	for name, crash := range map[string]func(t *testing.T, data string){
		"before the claim": func(t *testing.T, data string) { os.MkdirAll(data, 0o700) },
		"within the claim": func(t *testing.T, data string) { writeTestFile(t, filepath.Join(data, claimName), "") },
		"after the claim":  claim,
		"within the seal key": func(t *testing.T, data string) {
			claim(t, data)
			writeTestFile(t, filepath.Join(data, "seal.key"), "AQI")
		},
		"after the seal key":          with("pando.yaml", "bundle.pem", "admin.crt", "admin.key", "pando.db"),
		"after the generation":        with("pando.yaml", "bundle.pem", "admin.crt", "admin.key"),
		"after the administrator":     with("pando.yaml", "bundle.pem"),
		"between key and certificate": with("pando.yaml", "bundle.pem", "admin.crt"),
		"after the bundle":            with("pando.yaml"),
		"before the claim is gone":    with(),
	} {
		t.Run(name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			crash(t, data)
			os.Chmod(data, 0o700)
			for _, name := range []string{"seal.key", "pando.db", "admin.key", "pando.yaml"} {
				os.Chmod(filepath.Join(data, name), 0o600) // CopyFS keeps no modes
			}
			if code, _, errs := runPando(t, "init", "--trust-domain", "example.org", "--data", data); code != exitOK {
				t.Fatalf("exit code %d: %s", code, errs)
			}
			verifyCA(t, data)
		})
	}
}

// An init that is killed at any moment, and again, is completed by the next one.
func TestInitSurvivesKills(t *testing.T) {
	t.Setenv("PANDO_CONTEXT_FILE", filepath.Join(t.TempDir(), "contexts.yaml"))
	data := filepath.Join(t.TempDir(), "data")
	args := []string{"init", "--trust-domain", "example.org", "--data", data, "--if-needed"}
	killed := 0
	for delay := 5 * time.Millisecond; ; delay += 3 * time.Millisecond {
		ctx, cancel := context.WithTimeout(t.Context(), delay)
		output, err := exec.CommandContext(ctx, "pando", args...).CombinedOutput()
		cancel()
		if err == nil {
			break
		}
		if strings.Contains(string(output), "pando: ") {
			t.Fatalf("after %d kills: %v: %s", killed, err, output)
		}
		killed++
		if killed > 1000 {
			t.Fatalf("init takes longer than %s", delay)
		}
	}
	verifyCA(t, data)
	t.Logf("completed after %d kills", killed)
}

func TestInitTellsWhenTheClaimIsOfAnother(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	writeTestFile(t, filepath.Join(data, claimName), "other.example.org admin\n")
	before := snapshot(t, data)
	code, _, errs := runPando(t, "init", "--trust-domain", "example.org", "--data", data)
	if code != exitFailed || !strings.Contains(errs, "an interrupted init left") || !strings.Contains(errs, "other.example.org admin") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if diff := cmp.Diff(before, snapshot(t, data)); diff != "" {
		t.Error(diff)
	}
}

// Two CAs cannot come to be in one database, whoever is first.
func TestInitLosesToAFasterOne(t *testing.T) {
	t.Setenv("PANDO_CONTEXT_FILE", filepath.Join(t.TempDir(), "contexts.yaml"))
	database := pgtest.New(t)
	first := newDeployment(t, database)
	// The second had looked at the database before the first was done.
	data := filepath.Join(t.TempDir(), "data")
	writeTestFile(t, filepath.Join(data, claimName), "example.org admin\n")
	code, _, errs := runPando(t, "init", "--trust-domain", "example.org", "--data", data, "--database", database)
	if code != exitFailed || !strings.Contains(errs, "the database holds a CA that this init did not make") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	verifyCA(t, first.data)
}

func TestInitLeavesTheContextOfAnotherCA(t *testing.T) {
	first := newDeployment(t, "")
	path := os.Getenv("PANDO_CONTEXT_FILE")
	before, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(before), filepath.Join(first.data, "admin.crt")) {
		t.Fatalf("the first CA is not remembered: %s, %v", before, err)
	}
	code, out, errs := runPando(t, "init", "--trust-domain", "example.org", "--data", filepath.Join(t.TempDir(), "data"))
	if code != exitOK || !strings.Contains(out, "was left as it is") {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	after, err := os.ReadFile(path)
	if err != nil || string(after) != string(before) {
		t.Errorf("the context of another CA was changed to %s, %v", after, err)
	}
}

// The commands that init prints must lead to the CA that it made.
func TestInitSaysHowItsCAIsReached(t *testing.T) {
	for name, test := range map[string]struct {
		earlier []string // CAs that are remembered already
		flags   []string
		want    string
	}{
		"the first":                      {want: "pando entry create --spiffe-id "},
		"beside another trust domain":    {earlier: []string{"example.com"}, want: "pando entry create --context example.org --spiffe-id "},
		"with a context that is taken":   {earlier: []string{"example.org"}, want: "pando entry create --server https://localhost:8443 --bundle DATA/bundle.pem --cert DATA/admin.crt --key DATA/admin.key --spiffe-id "},
		"without a context":              {flags: []string{"--context", "none"}, want: "pando token create --server https://localhost:8443 --bundle DATA/bundle.pem --cert DATA/admin.crt --key DATA/admin.key ENTRY"},
		"with a context of another name": {earlier: []string{"example.org"}, flags: []string{"--context", "b"}, want: "pando token create --context b ENTRY"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("PANDO_CONTEXT_FILE", filepath.Join(dir, "contexts.yaml"))
			for _, td := range test.earlier {
				if code, _, errs := runPando(t, "init", "--trust-domain", td, "--data", filepath.Join(dir, td)); code != exitOK {
					t.Fatal(errs)
				}
			}
			data := filepath.Join(dir, "data")
			code, out, errs := runPando(t, append([]string{"init", "--trust-domain", "example.org", "--data", data}, test.flags...)...)
			if want := strings.ReplaceAll(test.want, "DATA", data); code != exitOK || !strings.Contains(out, want) {
				t.Errorf("exit code %d, without %q: %s%s", code, want, out, errs)
			}
		})
	}
}

// An administrator who was away for too long is not locked out for good.
func TestRecoverMakesAnAdministratorAgain(t *testing.T) {
	d := newDeployment(t, "")
	for _, name := range []string{"admin.crt", "admin.key"} {
		if err := os.Remove(filepath.Join(d.data, name)); err != nil {
			t.Fatal(err)
		}
	}
	if code, out, errs := runPando(t, "recover", "--data", d.data); code != exitOK || !strings.Contains(out, "spiffe://example.org/pando/admin/admin") || strings.Contains(out, "replaced") {
		t.Fatalf("exit code %d: %s%s", code, out, errs)
	}
	serial, _ := ca.SerialOf(d.tls(t).Certificates[0].Leaf)
	if code, out, errs := runPando(t, "recover", "--data", d.data); code != exitOK || !strings.Contains(out, "It replaced certificate "+serial.String()) {
		t.Fatalf("with a certificate that is good: exit code %d: %s%s", code, out, errs)
	}
	d.serve(t)
	if _, err := d.client(t, true).sign(t.Context()); err != nil {
		t.Errorf("the new certificate is of no use: %v", err)
	}
}

func TestRecoverRefusesWhoIsNoAdministrator(t *testing.T) {
	d := newDeployment(t, "")
	before := snapshot(t, d.data)
	for name, want := range map[string]string{
		"mallory": "spiffe://example.org/pando/admin/mallory is not among the administrators",
		"a/b":     "name of the administrator: ",
	} {
		if code, _, errs := runPando(t, "recover", "--data", d.data, "--name", name); code == exitOK || !strings.Contains(errs, want) {
			t.Errorf("%s: exit code %d: %s", name, code, errs)
		}
	}
	if diff := cmp.Diff(before, snapshot(t, d.data)); diff != "" {
		t.Error(diff)
	}
}
