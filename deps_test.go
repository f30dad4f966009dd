package pando_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/pando-ca/pando"

// Modules that more than one row of the table names.
const (
	gocmp    = "github.com/google/go-cmp"
	grpc     = "google.golang.org/grpc"
	jwt      = "github.com/golang-jwt/jwt/v5"
	lru      = "github.com/hashicorp/golang-lru/v2"
	pgx      = "github.com/jackc/pgx/v5"
	protobuf = "google.golang.org/protobuf"
	xsync    = "golang.org/x/sync"
	xsys     = "golang.org/x/sys" // the locks of Windows
	xtime    = "golang.org/x/time"
)

// otelAPI is what code is traced with: it does nothing where no tracer is given. What records and
// sends spans, the SDK and the exporters, is for programs.
func otelAPI(more ...string) []string {
	return append(more, "go.opentelemetry.io/otel/attribute", "go.opentelemetry.io/otel/codes", "go.opentelemetry.io/otel/trace")
}

// imports is what a package may import.
type imports struct {
	ours   []string // packages of this module, exactly
	others []string // modules of others, and everything below them
	never  []string // packages of the standard library that would make it what it is not
}

// table says who may import whom. It is about production code: files whose names end in
// _test.go may import whatever they need, since nobody links them. What has no place in a row
// is refused, and so is a package without a row: a new dependency is a decision, and it is
// made here.
func table() map[string]imports {
	pure := []string{"context", "os", "net/http", "database/sql", "log/slog"}
	noTransport := []string{"net/http"}
	useCases := []string{"net/http", "database/sql"} // neither a transport nor a driver
	return map[string]imports{
		".": {},

		// What decides and signs is a function of its arguments.
		"ca/spiffeid": {never: pure},
		"ca":          {ours: []string{"ca/spiffeid"}, never: pure},
		"ca/policy":   {ours: []string{"ca", "ca/spiffeid"}, never: pure},
		"ca/mtls":     {ours: []string{"ca/spiffeid"}, never: pure},
		// miekg/pkcs11 is what go.step.sm/crypto reaches tokens with; its error codes tell a wrong
		// PIN from a token that is away.
		"ca/keystore": {ours: []string{"ca"}, others: []string{"go.step.sm/crypto", "github.com/miekg/pkcs11"}, never: useCases},

		// The words of durability know no driver, the drivers do not know each other.
		"store":          {ours: []string{"ca/spiffeid"}, others: otelAPI(), never: useCases},
		"store/postgres": {ours: []string{"store", "migrations"}, others: []string{pgx}, never: noTransport},
		"store/sqlite":   {ours: []string{"store", "migrations"}, others: []string{"modernc.org/sqlite", xsys}, never: noTransport},
		// age encrypts the file: an audited format that outlives this program.
		"store/backup": {ours: []string{"internal/durable", "store"}, others: []string{"filippo.io/age"}, never: useCases},
		"migrations":   {others: []string{"github.com/pressly/goose/v3"}, never: noTransport},

		// rotation and server meet in the store only.
		"rotation": {ours: []string{"ca", "ca/spiffeid", "store"}, others: []string{"github.com/robfig/cron/v3"}, never: useCases},
		"server": {
			ours:   []string{"ca", "ca/mtls", "ca/policy", "ca/spiffeid", "store"},
			others: otelAPI("github.com/spiffe/go-spiffe/v2", lru, xtime),
			never:  useCases,
		},

		"server/auth": { // it fetches the keys of issuers over HTTP
			ours:   []string{"ca/policy", "ca/spiffeid"},
			others: []string{jwt, "github.com/MicahParks/keyfunc/v3", "github.com/MicahParks/jwkset", lru, xsync, xtime},
			never:  []string{"database/sql"},
		},
		"server/door": {
			ours:   []string{"ca/policy", "ca/spiffeid", "server", "server/auth"},
			others: otelAPI("go.opentelemetry.io/otel/propagation"), // what a caller says of its own trace
			never:  useCases,
		},
		"server/rest": {
			ours:   []string{"ca/mtls", "ca/policy", "server", "server/auth", "server/door"},
			others: otelAPI("github.com/go-chi/chi/v5", "github.com/danielgtaylor/huma/v2"),
			never:  []string{"database/sql"},
		},
		"server/rpc": {
			ours:   []string{"api/v1", "ca/mtls", "ca/policy", "server", "server/auth", "server/door"},
			others: otelAPI(grpc, protobuf, "google.golang.org/genproto/googleapis/rpc"),
			never:  useCases,
		},
		"server/diagnosis": {ours: []string{"ca", "ca/policy", "rotation", "server", "store"}, never: useCases},
		"server/metrics": {
			ours:   []string{"ca", "ca/mtls", "ca/policy", "rotation", "server", "server/auth", "server/door", "store"},
			others: []string{"github.com/prometheus/client_golang"},
			never:  []string{"database/sql"},
		},
		"api/v1": {others: []string{grpc, protobuf}, never: useCases},

		// A workload links this: the standard library and one small package.
		"client": {ours: []string{"ca/spiffeid"}, never: []string{"database/sql"}},
		// A double of Pando for the tests of whoever links the client: nothing else, either.
		"client/clienttest": {ours: []string{"ca/spiffeid", "client"}, never: []string{"database/sql"}},
		// Adapters: each links the one module that it is for, and nothing else of ours.
		"client/grpc":     {ours: []string{"ca/spiffeid", "client"}, others: []string{grpc}, never: []string{"database/sql"}},
		"client/prom":     {ours: []string{"client"}, others: []string{"github.com/prometheus/client_golang"}, never: useCases},
		"client/gospiffe": {others: []string{"github.com/spiffe/go-spiffe/v2"}, never: useCases},

		// What does not link the client gets its identity in files.
		"agent": {
			ours:   []string{"client", "internal/durable"},
			others: []string{"github.com/prometheus/client_golang", "software.sslmate.com/src/go-pkcs12"},
			never:  []string{"database/sql"},
		},
		"internal/durable": {others: []string{xsys}, never: useCases},

		// Programs wire everything, and nobody imports them.
		"cmd/pando":      {ours: []string{anything}, others: []string{anything}},
		"cmd/pandobench": {ours: []string{anything}, others: []string{anything}},

		// For tests and benchmarks.
		"api": {}, // the golden shapes, and the tests of both doors against them
		"api/apitest": {
			ours: []string{
				"api/v1", "ca", "ca/catest", "ca/policy", "ca/spiffeid", "server", "server/auth",
				"server/door", "server/rest", "server/rpc", "store", "store/sqlite",
			},
			others: otelAPI(grpc),
		},
		"ca/catest":              {ours: []string{"ca", "ca/spiffeid"}, never: noTransport},
		"internal/pgserver":      {others: []string{pgx}, never: noTransport},
		"internal/softhsm":       {never: noTransport},
		"store/storetest":        {ours: []string{"store"}, others: []string{gocmp}, never: noTransport},
		"store/storetest/pgtest": {ours: []string{"internal/pgserver"}, others: []string{pgx}, never: noTransport},
	}
}

// anything stands for every package.
const anything = "*"

// source is what the table is held against: one package as its files tell it.
type source struct {
	imports   map[string]string // import path → a file that has it
	commented bool              // whether a file has a package comment
}

// TestImports reads the sources itself. To ask the go command would be to test what its cache
// remembers.
func TestImports(t *testing.T) {
	packages, err := readPackages(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	for _, complaint := range check(table(), packages) {
		t.Error(complaint)
	}
}

// TestImportsComplains makes sure that the test above can fail.
func TestImportsComplains(t *testing.T) {
	rules := map[string]imports{
		"core": {never: []string{"net/http"}},
		"top":  {ours: []string{"core"}, others: []string{"example.org/lib"}},
	}
	const comment = "// Package p is commented.\n"
	file := func(imports ...string) string {
		text := comment + "package p\n"
		for _, i := range imports {
			text += "import _ " + strconv.Quote(i) + "\n"
		}
		return text
	}
	tests := map[string]struct {
		files map[string]string
		want  []string
	}{
		"nothing is wrong": {
			files: map[string]string{
				"core/a.go": file("strings"), "core/a_test.go": file("net/http", module+"/top"),
				"top/a.go": file(module+"/core", "example.org/lib/sub"), "top/testdata/x/a.go": file("net/http"),
				".git/a.go": file("net/http"),
			},
		},
		"an import of ours that is not in the row": {
			files: map[string]string{"core/a.go": file(module + "/top"), "top/a.go": file()},
			want:  []string{"core/a.go: package core may not import top"},
		},
		"an impure import": {
			files: map[string]string{"core/a.go": file("net/http"), "top/a.go": file()},
			want:  []string{"core/a.go: package core may not import net/http"},
		},
		"a package below an impure one": {
			files: map[string]string{"core/a.go": file("net/http/httputil"), "top/a.go": file()},
			want:  []string{"core/a.go: package core may not import net/http/httputil"},
		},
		"a module that is not in the row": {
			files: map[string]string{"core/a.go": file(), "top/a.go": file("example.org/library")},
			want:  []string{"top/a.go: package top may not import example.org/library"},
		},
		"also in a file for another system": {
			files: map[string]string{"core/a.go": file(), "core/a_plan9.go": file("net/http"), "top/a.go": file()},
			want:  []string{"core/a_plan9.go: package core may not import net/http"},
		},
		"a package without a row": {
			files: map[string]string{"core/a.go": file(), "top/a.go": file(), "new/a.go": file()},
			want:  []string{"package new has no row in the table of imports"},
		},
		"a row without a package": {
			files: map[string]string{"core/a.go": file(), "top/a_test.go": file()},
			want:  []string{"there is no package top, but a row in the table of imports"},
		},
		"a package without a comment": {
			files: map[string]string{"core/a.go": "package p\n", "core/a_test.go": file(), "top/a.go": file()},
			want:  []string{"package core has no package comment"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tree := make(fstest.MapFS)
			for name, text := range test.files {
				tree[name] = &fstest.MapFile{Data: []byte(text)}
			}
			packages, err := readPackages(tree)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, check(rules, packages)); diff != "" {
				t.Errorf("complaints (-want +got):\n%s", diff)
			}
		})
	}
}

// check returns what packages do against the rules, in the order of their names.
func check(rules map[string]imports, packages map[string]*source) []string {
	var complaints []string
	complain := func(format string, args ...any) { complaints = append(complaints, fmt.Sprintf(format, args...)) }
	for _, name := range slices.Sorted(maps.Keys(packages)) {
		p := packages[name]
		rule, ok := rules[name]
		if !ok {
			complain("package %s has no row in the table of imports", name)
			continue
		}
		if !p.commented {
			complain("package %s has no package comment", name)
		}
		for _, imported := range slices.Sorted(maps.Keys(p.imports)) {
			if !rule.allow(imported) {
				complain("%s: package %s may not import %s", p.imports[imported], name, strings.TrimPrefix(imported, module+"/"))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		if packages[name] == nil {
			complain("there is no package %s, but a row in the table of imports", name)
		}
	}
	return complaints
}

func (rule imports) allow(imported string) bool {
	within := func(modules []string) bool {
		return slices.ContainsFunc(modules, func(m string) bool {
			return m == anything || m == imported || strings.HasPrefix(imported, m+"/")
		})
	}
	first, _, _ := strings.Cut(imported, "/")
	ours, isOurs := strings.CutPrefix(imported, module+"/")
	switch {
	case isOurs:
		return slices.Contains(rule.ours, ours) || slices.Contains(rule.ours, anything)
	case strings.Contains(first, "."): // somebody else's module
		return within(rule.others)
	}
	return !within(rule.never)
}

// readPackages reads the production code below root, whatever system it is for.
func readPackages(root fs.FS) (map[string]*source, error) {
	packages := make(map[string]*source)
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			if base := path.Base(name); name != "." && (base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
				return fs.SkipDir
			}
			return nil
		case path.Ext(name) != ".go", strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		dir := path.Dir(name)
		if packages[dir] == nil {
			packages[dir] = &source{imports: make(map[string]string)}
		}
		return packages[dir].add(name, file)
	})
	return packages, err
}

func (s *source) add(name string, file *ast.File) error {
	s.commented = s.commented || file.Doc != nil
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		s.imports[imported] = name
	}
	return nil
}
