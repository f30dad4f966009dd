package pando_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Links between pages, to their headings, and from pages to files, lead somewhere.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#\s]*)(#[^)]*)?\)`)
	tree := os.DirFS(".")
	pages, err := fs.Glob(tree, "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	runbooks, err := fs.Glob(tree, "docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, runbooks...)
	checked, headings := 0, make(map[string][]string)
	for _, page := range append(pages, "README.md", "CONTRIBUTING.md", "CHANGELOG.md") {
		text, err := fs.ReadFile(tree, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range link.FindAllSubmatch(text, -1) {
			target, anchor := string(found[1]), strings.TrimPrefix(string(found[2]), "#")
			if strings.Contains(target, "://") {
				continue
			}
			checked++
			file := page
			if target != "" {
				file = path.Join(path.Dir(page), target)
			}
			text, err := fs.ReadFile(tree, file)
			if _, statErr := fs.Stat(tree, file); statErr != nil {
				t.Errorf("%s links to %s: %v", page, target, statErr)
				continue
			}
			if headings[file] == nil && err == nil {
				headings[file] = anchors(string(text))
			}
			if anchor != "" && !slices.Contains(headings[file], anchor) {
				t.Errorf("%s links to #%s of %s, which is not there", page, anchor, file)
			}
		}
	}
	if checked == 0 {
		t.Error("there are no links")
	}
}

// anchors are the names of a page's headings, as GitHub makes them.
func anchors(page string) (names []string) {
	dropped := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		name := dropped.ReplaceAllString(strings.ToLower(heading[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}
