package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pando-ca/pando/client"
	// What the documentation is about, so that no result is cached when it changes.
	_ "github.com/pando-ca/pando/client/clienttest"
	_ "github.com/pando-ca/pando/client/gospiffe"
	_ "github.com/pando-ca/pando/client/grpc"
	_ "github.com/pando-ca/pando/client/prom"
)

// surroundings are what the blocks of Go in the documentation take for granted: imports, and
// variables that they do not make themselves.
const surroundings = `package snippet

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/prometheus/client_golang/prometheus"
	gospiffeid "github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"google.golang.org/grpc"

	"github.com/pando-ca/pando/ca/spiffeid"
	"github.com/pando-ca/pando/client"
	"github.com/pando-ca/pando/client/clienttest"
	"github.com/pando-ca/pando/client/gospiffe"
	pandogrpc "github.com/pando-ca/pando/client/grpc"
	"github.com/pando-ca/pando/client/prom"
)

var (
	ctx                       context.Context
	err                       error
	config                    client.Config
	source                    *client.Source
	listener                  *client.Listener
	frontend, backend, queue  spiffeid.ID
	web                       gospiffeid.ID
	inner                     net.Listener
	handler                   http.Handler
	mux, private              *http.ServeMux
	registry                  *prometheus.Registry
	target                    string
	chain                     []*x509.Certificate
)
`

// Whoever copies a block of Go from the documentation has something that compiles.
func TestTheDocumentationCompiles(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, "../README.md")
	fset := token.NewFileSet()
	before, err := parser.ParseFile(fset, "surroundings.go", surroundings, 0)
	if err != nil {
		t.Fatal(err)
	}
	imports := importer.ForCompiler(fset, "gc", exported(t, before))
	checked := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range goBlocks(page, string(text)) {
			checked++
			file, err := parser.ParseFile(fset, page, block, 0)
			if err != nil {
				t.Error(err)
				continue
			}
			rules := types.Config{Importer: imports, Error: func(err error) {
				var unused types.Error
				if !errors.As(err, &unused) || !unused.Soft { // soft: something is not used
					t.Error(err)
				}
			}}
			rules.Check("snippet", fset, []*ast.File{file}, nil) // Error is told of each
		}
	}
	if checked == 0 {
		t.Error("there are no blocks")
	}
}

// goBlocks are the blocks of Go of a page, each as a file whose line numbers are the page's.
func goBlocks(page, text string) (files []string) {
	fence := regexp.MustCompile("(?ms)^```go\n(.*?)^```")
	for _, at := range fence.FindAllStringSubmatchIndex(text, -1) {
		code := text[at[2]:at[3]]
		line := fmt.Sprintf("//line %s:%d\n", page, 1+strings.Count(text[:at[2]], "\n"))
		if strings.HasPrefix(code, "func ") {
			files = append(files, surroundings+line+code)
		} else {
			files = append(files, surroundings+"func _() error {\n"+line+code+"\nreturn nil\n}\n")
		}
	}
	return files
}

// exported finds what the compiler has made of the packages that a file imports.
func exported(t *testing.T, file *ast.File) importer.Lookup {
	t.Helper()
	args := []string{"list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}"}
	for _, spec := range file.Imports {
		args = append(args, strings.Trim(spec.Path.Value, `"`))
	}
	list := exec.CommandContext(t.Context(), "go", args...)
	var complaints bytes.Buffer
	list.Stderr = &complaints
	out, err := list.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, complaints.String())
	}
	files := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		files[path] = file
	}
	return func(path string) (io.ReadCloser, error) { return os.Open(files[path]) }
}

// The last section of the page has a row for each field, in the order of the code.
func TestEveryFieldIsInTheDocumentation(t *testing.T) {
	text, err := os.ReadFile("../docs/client.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([A-Z][A-Za-z]*)` \\|")
	for _, config := range []any{client.Config{}, client.ListenerConfig{}, client.DialerConfig{}, client.TransportConfig{}} {
		kind := reflect.TypeOf(config)
		_, section, _ := strings.Cut(string(text), "\n### "+kind.Name()+"\n")
		section, _, _ = strings.Cut(section, "\n### ")
		var rows, fields []string
		for _, found := range row.FindAllStringSubmatch(section, -1) {
			rows = append(rows, found[1])
		}
		for field := range kind.NumField() {
			fields = append(fields, kind.Field(field).Name)
		}
		if diff := cmp.Diff(fields, rows); diff != "" {
			t.Errorf("%s (-code +docs/client.md):\n%s", kind.Name(), diff)
		}
	}
}
