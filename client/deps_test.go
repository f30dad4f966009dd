package client

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestOnlyTheStandardLibraryIsImported follows the imports of this package through the
// module. It reads the sources itself, so that no cached result can hide a change.
func TestOnlyTheStandardLibraryIsImported(t *testing.T) {
	const module = "github.com/pando-ca/pando"
	allowed := map[string]bool{module + "/client": true, module + "/ca/spiffeid": true}
	seen := make(map[string]bool)
	var follow func(pkg string)
	follow = func(pkg string) {
		if seen[pkg] {
			return
		}
		seen[pkg] = true
		for _, path := range importsOf(t, filepath.Join("..", strings.TrimPrefix(pkg, module))) {
			host, _, _ := strings.Cut(path, "/")
			switch {
			case allowed[path]:
				follow(path)
			case strings.Contains(host, ".") || path == "C" || path == "unsafe":
				t.Errorf("%s imports %s", pkg, path)
			}
		}
	}
	follow(module + "/client")
	if len(seen) != len(allowed) {
		t.Errorf("followed %v, want %v", seen, allowed)
	}
}

func importsOf(t *testing.T, dir string) (paths []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			paths = append(paths, must(strconv.Unquote(spec.Path.Value)))
		}
	}
	return paths
}
