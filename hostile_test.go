package pando_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// hostilePage is the page that says which test proves what.
const hostilePage = "docs/hostile-input.md"

// hostileNumbers are the threats that there are.
func hostileNumbers() []int {
	var numbers []int
	for n := 1; n <= 39; n++ {
		numbers = append(numbers, n)
	}
	return numbers
}

// provingTest is how a page names a test.
var provingTest = regexp.MustCompile("`([a-z0-9/]+\\.(?:Test|Fuzz)\\w+)`")

// TestHostileInputIsProven holds the page to the tests that there are.
func TestHostileInputIsProven(t *testing.T) {
	complaints, err := checkHostile(os.DirFS("."), hostileNumbers())
	if err != nil {
		t.Fatal(err)
	}
	for _, complaint := range complaints {
		t.Error(complaint)
	}
}

// TestSecurityModelIsProven holds the table of that page to the tests that there are.
func TestSecurityModelIsProven(t *testing.T) {
	page, err := os.ReadFile("docs/security-model.md")
	if err != nil {
		t.Fatal(err)
	}
	tests, err := testNames(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), "| who has |")
	rows := tableRows("| who has |" + table)
	for _, cells := range rows {
		found := provingTest.FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(cells) != 6 || len(found) == 0 {
			t.Errorf("%q has %d cells and %d tests", cells[0], len(cells), len(found))
		}
		for _, name := range found {
			if !tests[name[1]] {
				t.Errorf("there is no %s", name[1])
			}
		}
	}
	if len(rows) < 18 {
		t.Errorf("%d rows", len(rows))
	}
}

// TestHostileInputComplains makes sure that the test above can fail.
func TestHostileInputComplains(t *testing.T) {
	const head = "| no. | tried | done | proof |\n|---|---|---|---|\n"
	tests := map[string]struct {
		page string
		want []string
	}{
		"all is well": {
			head + "| 1 | a | b | `ca.TestA`, `ca/sub.FuzzB` |\n| 2 | a | `x` | `ca.TestA` |\n\n| tried | done | proof |\n|---|---|---|\n| a | b | `ca.TestA` |\n", nil,
		},
		"a number is missing": {head + "| 1 | a | b | `ca.TestA` |\n", []string{"threat 2 is missing"}},
		"a number stands twice": {
			head + "| 1 | a | b | `ca.TestA` |\n| 2 | a | b | `ca.TestA` |\n| 2 | a | b | `ca.TestA` |\n", []string{"threat 2 stands twice"},
		},
		"a test does not exist": {
			head + "| 1 | a | b | `ca.TestA` |\n| 2 | a | b | `ca.TestGone` |\n", []string{"there is no ca.TestGone"},
		},
		"a test is in another package": {
			head + "| 1 | a | b | `ca.TestA` |\n| 2 | a | b | `ca/sub.TestA` |\n", []string{"there is no ca/sub.TestA"},
		},
		"a helper and a method are no tests": {
			head + "| 1 | a | b | `ca.TestMethod` |\n| 2 | a | b | `ca.Testing` |\n", []string{"there is no ca.TestMethod", "there is no ca.Testing"},
		},
		"production code is no test": {
			head + "| 1 | a | b | `ca.TestNot` |\n| 2 | a | b | `ca.TestA` |\n", []string{"there is no ca.TestNot"},
		},
		"nothing proves it": {
			head + "| 1 | a | b | `ca.TestA` |\n| 2 | a | b | soon |\n", []string{`nothing proves "2"`},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tree := fstest.MapFS{
				hostilePage:        {Data: []byte(test.page)},
				"ca/a_test.go":     {Data: []byte("package ca_test\nfunc TestA(t *testing.T) {}\nfunc (x) TestMethod(t *testing.T) {}\nfunc Testing(s string) {}\n")},
				"ca/a.go":          {Data: []byte("package ca\nfunc TestNot(t *testing.T) {}\n")},
				"ca/sub/b_test.go": {Data: []byte("package sub\nfunc FuzzB(f *testing.F) {}\n")},
			}
			got, err := checkHostile(tree, []int{1, 2})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("complaints (-want +got):\n%s", diff)
			}
		})
	}
}

// checkHostile returns what is wrong with the page, in the order of the page.
func checkHostile(root fs.FS, numbers []int) ([]string, error) {
	page, err := fs.ReadFile(root, hostilePage)
	if err != nil {
		return nil, err
	}
	tests, err := testNames(root)
	if err != nil {
		return nil, err
	}
	var complaints []string
	seen := make(map[int]int)
	for _, cells := range tableRows(string(page)) {
		if n, err := strconv.Atoi(cells[0]); err == nil {
			seen[n]++
		}
		found := provingTest.FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(found) == 0 {
			complaints = append(complaints, fmt.Sprintf("nothing proves %q", cells[0]))
		}
		for _, name := range found {
			if !tests[name[1]] {
				complaints = append(complaints, "there is no "+name[1])
			}
		}
	}
	for _, n := range numbers {
		switch {
		case seen[n] == 0:
			complaints = append(complaints, fmt.Sprintf("threat %d is missing", n))
		case seen[n] > 1:
			complaints = append(complaints, fmt.Sprintf("threat %d stands twice", n))
		}
	}
	return complaints, nil
}

// tableRows returns the cells of all rows below the head of a table.
func tableRows(page string) [][]string {
	var rows [][]string
	body := false
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		switch {
		case !strings.HasPrefix(line, "|"):
			body = false
		case strings.HasPrefix(line, "|---"):
			body = true
		case body:
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

// testNames returns every test and fuzz test below root, as "package/path.TestName".
func testNames(root fs.FS) (map[string]bool, error) {
	names := make(map[string]bool)
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch base := path.Base(name); {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, declared := range file.Decls {
			if f, ok := declared.(*ast.FuncDecl); ok && isTest(f) {
				names[path.Dir(name)+"."+f.Name.Name] = true
			}
		}
		return nil
	})
	return names, err
}

// isTest reports whether the go command runs f: it takes a *testing.T or a *testing.F.
func isTest(f *ast.FuncDecl) bool {
	if f.Recv != nil || len(f.Type.Params.List) != 1 {
		return false
	}
	pointer, ok := f.Type.Params.List[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	kind, ok := pointer.X.(*ast.SelectorExpr)
	return ok && slices.Contains([]string{"T", "F"}, kind.Sel.Name)
}
