package agent

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/pando-ca/pando/ca/catest"
	"github.com/pando-ca/pando/internal/durable"
)

// newMaterial is what a source would have of a throw-away CA.
func newMaterial(t *testing.T) *material {
	t.Helper()
	pki := catest.New(t, catest.Options{})
	pair := pki.Issue(t, "spiffe://example.org/web", catest.Leaf{})
	m := &material{serial: "01", key: pair.PrivateKey, roots: pki.Set().Roots()}
	for _, der := range pair.Certificate {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		m.chain = append(m.chain, cert)
	}
	m.notAfter = m.chain[0].NotAfter
	return m
}

// newState is what is saved of it.
func newState(t *testing.T) *state {
	t.Helper()
	m := newMaterial(t)
	key, err := m.keyPEM()
	if err != nil {
		t.Fatal(err)
	}
	return &state{
		Version: stateVersion, Key: string(key), Chain: string(certificatesPEM(m.chain)), Roots: string(certificatesPEM(m.roots)),
		Anchor: anchorOf(certificatesPEM(m.roots)),
	}
}

func TestAStateIsSavedAndLoaded(t *testing.T) {
	file := stateFileIn(t.TempDir(), "web")
	if s, pair, err := file.load(); s != nil || pair != nil || err != nil {
		t.Fatalf("nothing was saved, and load returns %v, %v, %v", s, pair, err)
	}
	saved := newState(t)
	if err := file.save(saved); err != nil {
		t.Fatal(err)
	}
	loaded, pair, err := file.load()
	if err != nil || loaded.Chain != saved.Chain || pair.Leaf == nil {
		t.Errorf("loaded %v, %v", loaded, err)
	}
	if info, err := os.Stat(string(file)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestADamagedStateIsSetAside(t *testing.T) {
	for name, damage := range map[string]func(data []byte) []byte{
		"empty":            func([]byte) []byte { return nil },
		"cut":              func(data []byte) []byte { return data[:len(data)/2] },
		"zeros":            func(data []byte) []byte { return make([]byte, len(data)) },
		"another form":     func(data []byte) []byte { return bytes.Replace(data, []byte(`"version":1`), []byte(`"version":2`), 1) },
		"an unknown field": func(data []byte) []byte { return bytes.Replace(data, []byte(`"anchor"`), []byte(`"ancor"`), 1) },
		"no roots": func(data []byte) []byte {
			return regexp.MustCompile(`"roots":"[^"]*"`).ReplaceAll(data, []byte(`"roots":""`))
		},
		"roots cut short": func(data []byte) []byte {
			return regexp.MustCompile(`("roots":"[^"]{200})[^"]*"`).ReplaceAll(data, []byte(`$1"`))
		},
		"a key of another":    func([]byte) []byte { return []byte(mixed(t)) },
		"a bit of the chain":  func(data []byte) []byte { return bytes.Replace(data, []byte("MII"), []byte("NII"), 1) },
		"one megabyte of `[`": func([]byte) []byte { return bytes.Repeat([]byte("["), 1<<20) },
	} {
		t.Run(name, func(t *testing.T) {
			file := stateFileIn(t.TempDir(), "web")
			if err := file.save(newState(t)); err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(string(file))
			if err != nil {
				t.Fatal(err)
			}
			damaged := damage(data)
			if err := os.WriteFile(string(file), damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, _, err := file.load(); !errors.Is(err, errCorrupt) {
				t.Fatalf("load: %v", err)
			}
			k := &keeper{state: file, log: slog.New(slog.DiscardHandler)}
			if s, _, err := k.restore(t.Context()); s != nil || err != nil {
				t.Errorf("restore: %v, %v", s, err)
			}
			if kept, err := os.ReadFile(string(file) + ".damaged"); err != nil || !bytes.Equal(kept, damaged) {
				t.Errorf("what was set aside: %d octets, %v", len(kept), err)
			}
		})
	}
}

// mixed is the key of one state with the certificate of another.
func mixed(t *testing.T) string {
	t.Helper()
	file := stateFileIn(t.TempDir(), "mixed")
	one, other := newState(t), newState(t)
	one.Key = other.Key
	if err := file.save(one); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(string(file))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The roots that were learned count until the operator replaces those that they came from.
func TestWhichRootsCountAfterARestart(t *testing.T) {
	saved, other := newState(t), newState(t)
	path := filepath.Join(t.TempDir(), "bundle.pem")
	if _, _, err := trustOf(path, nil); err == nil {
		t.Error("no file and no state are enough")
	}
	if bundle, anchor, err := trustOf(path, saved); err != nil || string(bundle) != saved.Roots || anchor != saved.Anchor {
		t.Errorf("without the file: %q, %q, %v", bundle, anchor, err)
	}
	for name, test := range map[string]struct {
		configured string
		learned    bool
	}{
		"the file that they came from": {saved.Roots, true},
		"another file":                 {other.Roots, false},
	} {
		saved := *saved
		saved.Roots += "learned"
		if err := os.WriteFile(path, []byte(test.configured), 0o600); err != nil {
			t.Fatal(err)
		}
		bundle, anchor, err := trustOf(path, &saved)
		if err != nil || (string(bundle) == saved.Roots) != test.learned || (anchor == saved.Anchor) != test.learned {
			t.Errorf("%s: %q, %q, %v", name, bundle, anchor, err)
		}
	}
}

func TestStateDirectoriesThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := openStateDir(dir); err == nil || !strings.Contains(err.Error(), "nobody else may enter it") {
		t.Errorf("one that others can enter: %v", err)
	}
	private, link := filepath.Join(dir, "private"), filepath.Join(dir, "link")
	lock, err := openStateDir(private)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if _, err := openStateDir(private); err == nil || !strings.Contains(err.Error(), "in use by another agent") {
		t.Errorf("one that is in use: %v", err)
	}
	if err := os.Symlink(private, link); err != nil {
		t.Fatal(err)
	}
	if _, err := openStateDir(link); err == nil || !strings.Contains(err.Error(), "is not a directory") {
		t.Errorf("a link: %v", err)
	}
}

func TestWhatWasBeingSavedIsRemovedAtTheNextStart(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".web.json-123", "web.json", "web.json.damaged"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	lock, err := openStateDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 3 { // the lock, too
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(dir, ".web.json-123")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half a state is still there: %v", err)
	}
}

// Readers of other programs are asked, since our own would agree with our own writer.
func TestPKCS12IsReadByOthers(t *testing.T) {
	m := newMaterial(t)
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("correct horse\nnot this\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	data, err := m.pkcs12(password)
	if err != nil {
		t.Fatal(err)
	}
	key, leaf, authorities, err := pkcs12.DecodeChain(data, "correct horse")
	if err != nil || !leaf.Equal(m.chain[0]) || len(authorities) != len(m.chain)-1+len(m.roots) {
		t.Fatalf("decoded %d authorities, %v", len(authorities), err)
	}
	if !key.(interface{ Equal(crypto.PrivateKey) bool }).Equal(m.key) {
		t.Error("decoded another key")
	}
	path := filepath.Join(dir, "web.p12")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "openssl", "pkcs12", "-in", path, "-passin", "pass:correct horse", "-nodes").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "BEGIN PRIVATE KEY") {
		t.Errorf("openssl: %v: %s", err, out)
	}
	if err := os.WriteFile(password, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := m.pkcs12(password); err == nil {
		t.Error("an empty password is taken")
	}
}

// What is in force already is not written again, so that a restart is no change.
func TestWhatIsInForceIsNotWrittenAgain(t *testing.T) {
	m := newMaterial(t)
	o := Output{
		Directory: t.TempDir(), Link: "current", Chain: "cert.pem", Key: "key.pem", Bundle: "bundle.pem",
		Mode: 0o644, KeyMode: 0o600, DirectoryMode: 0o755,
	}
	k := &keeper{cfg: Identity{Output: o}, versions: durable.Versions{Path: o.Directory, Link: o.Link}}
	for _, step := range []struct {
		change func()
		want   bool
		what   string
	}{
		{func() {}, true, "the first time"},
		{func() {}, false, "the second time"},
		{func() { k.cfg.Output.KeyMode = 0o640 }, true, "with another mode"},
		{func() { k.cfg.Output.Combined = "all.pem" }, true, "with one file more"},
		{func() { m.roots = append(m.roots, newMaterial(t).roots...) }, true, "with one root more"},
		{func() {}, false, "the last time"},
	} {
		step.change()
		if wrote, err := k.write(m); err != nil || wrote != step.want {
			t.Errorf("%s: wrote %v, %v", step.what, wrote, err)
		}
	}
}
