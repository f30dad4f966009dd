package client_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each package that a program imports, and what of it needs no example of its own, by reason.
func withoutExample() map[string]map[string]string {
	const (
		aSource    = "a client.Source is one, and nobody else needs to be"
		listed     = "a list of constants"
		takesTB    = "takes a testing.TB, which an example has not; the package comment shows it"
		implements = "is called by the library that it is made for"
		noDatabase = "needs a database; TestPostgresRotatesUnderPools runs the same lines"
	)
	return map[string]map[string]string{
		".": {
			"Reasons": listed, "Rejections": listed,
			"Transport.RoundTrip":       implements,
			"Source.ClientTLS_database": noDatabase,
		},
		"grpc":       {"PeerID": "is in the handler of the package's example"},
		"gospiffe":   {"Identity": aSource},
		"prom":       {"Source": aSource, "Metrics.Collect": implements, "Metrics.Describe": implements, "Metrics.Connection": implements, "Metrics.Handshake": implements, "Metrics.Renewal": implements},
		"clienttest": {"Identity": aSource, "New": takesTB},
	}
}

// A function has an example of its own name, or is in that of its package or of the type that it
// makes. A method has one, or is called in any example of its package. Examples run.
func TestEveryEntryPointHasAnExample(t *testing.T) {
	for dir, excused := range withoutExample() {
		t.Run(dir, func(t *testing.T) {
			p := documented(t, dir)
			missing := unshown(p)
			for _, name := range slices.Sorted(maps.Keys(missing)) {
				if excused[name] == "" {
					t.Errorf("%s has no example", name)
				}
			}
			for name := range excused {
				if !missing[name] {
					t.Errorf("%s needs no excuse", name)
				}
			}
		})
	}
}

// documented is a package as godoc has it, with its examples.
func documented(t *testing.T, dir string) *doc.Package {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(fset, name, text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	p, err := doc.NewFromFiles(fset, files, "github.com/pando-ca/pando/client/"+dir)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// unshown are the entry points without an example, and the examples that do not run.
func unshown(p *doc.Package) map[string]bool {
	all := examplesOf(p)
	missing, anywhere, inPackage := make(map[string]bool), selected(all), selected(p.Examples)
	for _, x := range all {
		if x.Output == "" && !x.EmptyOutput {
			missing[strings.Replace(x.Name, "_", ".", 1)] = true
		}
	}
	for _, f := range p.Funcs {
		if len(f.Examples) == 0 && !inPackage[f.Name] {
			missing[f.Name] = true
		}
	}
	for _, kind := range p.Types {
		shown := len(kind.Examples) > 0
		for _, f := range kind.Funcs {
			made := strings.HasPrefix(f.Name, "New") && len(kind.Examples) > 0
			if len(f.Examples) == 0 && !inPackage[f.Name] && !made {
				missing[f.Name] = true
			}
			shown = shown || len(f.Examples) > 0
		}
		for _, m := range kind.Methods {
			if len(m.Examples) == 0 && !anywhere[m.Name] {
				missing[kind.Name+"."+m.Name] = true
			}
			shown = shown || len(m.Examples) > 0 || anywhere[m.Name]
		}
		if !shown && (len(kind.Methods) > 0 || isInterface(kind)) {
			missing[kind.Name] = true
		}
	}
	return missing
}

func isInterface(kind *doc.Type) bool {
	_, is := kind.Decl.Specs[0].(*ast.TypeSpec).Type.(*ast.InterfaceType)
	return is
}

func examplesOf(p *doc.Package) []*doc.Example {
	all := slices.Clone(p.Examples)
	for _, f := range p.Funcs {
		all = append(all, f.Examples...)
	}
	for _, kind := range p.Types {
		all = append(all, kind.Examples...)
		for _, f := range slices.Concat(kind.Funcs, kind.Methods) {
			all = append(all, f.Examples...)
		}
	}
	return all
}

// selected are the names behind a dot in some examples.
func selected(examples []*doc.Example) map[string]bool {
	names := make(map[string]bool)
	for _, x := range examples {
		ast.Inspect(x.Code, func(n ast.Node) bool {
			if dot, ok := n.(*ast.SelectorExpr); ok {
				names[dot.Sel.Name] = true
			}
			return true
		})
	}
	return names
}
