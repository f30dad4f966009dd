package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/ca/catest"
)

// isolate keeps a test away from the contexts and the environment of whoever runs it, and
// returns the path of the test's context file.
func isolate(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"PANDO_CONTEXT", "PANDO_SERVER", "PANDO_BUNDLE", "PANDO_CERT", "PANDO_KEY", "PANDO_TOKEN"} {
		t.Setenv(name, "")
	}
	path := filepath.Join(t.TempDir(), "config", "contexts.yaml")
	t.Setenv("PANDO_CONTEXT_FILE", path)
	return path
}

func TestContextFileIsFoundAndKeptPrivate(t *testing.T) {
	isolate(t)
	home := t.TempDir()
	t.Setenv("PANDO_CONTEXT_FILE", "")
	t.Setenv("XDG_CONFIG_HOME", home)
	path, err := saveContext("a", savedContext{Server: "https://localhost:8443", Bundle: "bundle.pem"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(home, "pando", "contexts.yaml"); path != want {
		t.Errorf("kept in %s, want %s", path, want)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	left, err := filepath.Glob(filepath.Join(home, "pando", ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestSaveContextKeepsTheOthers(t *testing.T) {
	path := isolate(t)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, save := range []struct {
		name string
		c    savedContext
		use  bool
	}{
		{"first", savedContext{Server: "https://a:1", Bundle: "bundle.pem", Certificate: "/abs/c.pem", Key: "k.pem"}, false},
		{"second", savedContext{Server: "https://b:1", Bundle: "/b.pem"}, false},
		{"third", savedContext{Server: "https://c:1", Bundle: "/c.pem"}, true},
		{"second", savedContext{Server: "https://b:2", Bundle: "/b.pem"}, false},
	} {
		if _, err := saveContext(save.name, save.c, save.use); err != nil {
			t.Fatal(err)
		}
	}
	got, err := loadContexts(path)
	if err != nil {
		t.Fatal(err)
	}
	want := &contextFile{Current: "third", Contexts: map[string]savedContext{
		"first":  {Server: "https://a:1", Bundle: filepath.Join(here, "bundle.pem"), Certificate: "/abs/c.pem", Key: filepath.Join(here, "k.pem")},
		"second": {Server: "https://b:2", Bundle: "/b.pem"},
		"third":  {Server: "https://c:1", Bundle: "/c.pem"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestContextFileContents(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want string // in the error; empty: good
	}{
		"empty":              {"", ""},
		"comments only":      {"# nothing\n", ""},
		"no contexts":        {"current: a\n", ""},
		"an unknown key":     {"currant: a\n", "currant"},
		"an unknown setting": {"contexts:\n  a:\n    sever: https://x\n", "sever"},
		"a list":             {"- a\n", "contexts.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, t.TempDir(), "contexts.yaml", []byte(tc.text))
			file, err := loadContexts(path)
			switch {
			case tc.want == "" && (err != nil || file.Contexts == nil):
				t.Errorf("loadContexts: %v %v", file, err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("error %v lacks %q", err, tc.want)
			}
		})
	}
}

func TestFlagsGoBeforeEnvironmentBeforeContext(t *testing.T) {
	path := isolate(t)
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, dir, "contexts.yaml", []byte(`
current: one
contexts:
  one: {server: "https://one:1", bundle: one.pem, certificate: c1.pem, key: k1.pem}
  two: {server: "https://two:1", bundle: /two.pem, certificate: /c2.pem, key: /k2.pem}
`))
	one := savedContext{
		Server: "https://one:1", Bundle: filepath.Join(dir, "one.pem"),
		Certificate: filepath.Join(dir, "c1.pem"), Key: filepath.Join(dir, "k1.pem"),
	}
	two := savedContext{Server: "https://two:1", Bundle: "/two.pem", Certificate: "/c2.pem", Key: "/k2.pem"}
	with := func(c savedContext, change func(*savedContext)) savedContext {
		change(&c)
		return c
	}
	for name, tc := range map[string]struct {
		flags   connectionFlags
		env     map[string]string
		want    savedContext
		context string
		code    int
	}{
		"the current context": {want: one, context: "one"},
		"one that is named":   {flags: connectionFlags{context: "two"}, want: two, context: "two"},
		"one that the environment names": {
			env: map[string]string{"PANDO_CONTEXT": "two"}, want: two, context: "two",
		},
		"a flag before the environment": {
			flags: connectionFlags{context: "one", server: "https://flag:1"},
			env:   map[string]string{"PANDO_CONTEXT": "two", "PANDO_SERVER": "https://env:1"},
			want:  with(one, func(c *savedContext) { c.Server = "https://flag:1" }), context: "one",
		},
		"the environment before the context": {
			env:  map[string]string{"PANDO_SERVER": "https://env:1", "PANDO_BUNDLE": "/e.pem", "PANDO_CERT": "/ec.pem", "PANDO_KEY": "/ek.pem"},
			want: savedContext{Server: "https://env:1", Bundle: "/e.pem", Certificate: "/ec.pem", Key: "/ek.pem"}, context: "one",
		},
		"a certificate without its key": {flags: connectionFlags{certificate: "/c.pem"}, code: exitUsage},
		"a key without its certificate": {env: map[string]string{"PANDO_KEY": "/k.pem"}, code: exitUsage},
		"a context that is not there":   {flags: connectionFlags{context: "three"}, code: exitNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			for variable, value := range tc.env {
				t.Setenv(variable, value)
			}
			got, context, err := tc.flags.resolve()
			if exitCode(err) != tc.code {
				t.Fatalf("exit code %d, want %d: %v", exitCode(err), tc.code, err)
			}
			if err != nil {
				return
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || context != tc.context {
				t.Errorf("context %q (-want +got)\n%s", context, diff)
			}
		})
	}
}

func TestAdministratorIsToldOfExpiry(t *testing.T) {
	pki := catest.New(t, catest.Options{})
	leaf := pki.Issue(t, "spiffe://example.org/pando/admin/ann", catest.Leaf{Lifetime: 40 * time.Hour}).Leaf
	for name, tc := range map[string]struct {
		left time.Duration
		want string // in the warning; empty: none
		code int
	}{
		"fresh":                   {39 * time.Hour, "", exitOK},
		"before the last quarter": {10 * time.Hour, "", exitOK},
		"in the last quarter":     {10*time.Hour - time.Second, "renew it with: pando context renew prod\n", exitOK},
		"in the last second":      {time.Second, "(in 1s)", exitOK},
		"expired":                 {0, "", exitDenied},
		"long expired":            {-time.Hour, "", exitDenied},
	} {
		t.Run(name, func(t *testing.T) {
			var warning strings.Builder
			err := checkExpiry(&warning, leaf, "prod", leaf.NotAfter.Add(-tc.left))
			if exitCode(err) != tc.code {
				t.Errorf("exit code %d, want %d: %v", exitCode(err), tc.code, err)
			}
			if (tc.want == "") != (warning.Len() == 0) || !strings.Contains(warning.String(), tc.want) {
				t.Errorf("warning %q", warning.String())
			}
		})
	}
}
