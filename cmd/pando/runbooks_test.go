package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRunbooksUseCommandsThatExist: at night nobody has time for a flag that there is not. What is in a
// block has all of its arguments, too.
func TestRunbooksUseCommandsThatExist(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join("..", "..", "docs", "runbooks", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("%v, %v", pages, err)
	}
	inLine := regexp.MustCompile("`(pando [a-z][^`]*)`")
	checked := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		block := false
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "```") {
				block = !block
			}
			if block && strings.HasPrefix(line, "pando ") {
				checked++
				checkCommand(t, page, line, true)
			}
			for _, found := range inLine.FindAllStringSubmatch(line, -1) {
				checked++
				checkCommand(t, page, found[1], false)
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d commands were found", checked)
	}
}

// checkCommand parses a command as it would be, up to running it.
func checkCommand(t *testing.T, page, line string, whole bool) {
	t.Helper()
	cmd, args, err := newRootCommand(stdio{in: strings.NewReader(""), out: io.Discard, err: io.Discard}).Find(words(line)[1:])
	if err == nil {
		err = cmd.ParseFlags(args)
	}
	if err == nil && whole {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err != nil || !cmd.HasParent() {
		t.Errorf("%s: %s: %v", filepath.Base(page), strings.TrimSpace(line), err)
	}
}

// words splits a line as a shell does, as far as these pages need: up to a comment, a pipe or a
// redirection, quotes being taken off.
func words(line string) []string {
	var all []string
	for _, word := range regexp.MustCompile(`"[^"]*"|'[^']*'|\S+`).FindAllString(line, -1) {
		if word[0] == '#' || word == "|" || strings.HasPrefix(word, "2>") {
			break
		}
		all = append(all, strings.Trim(word, `"'`))
	}
	return all
}
