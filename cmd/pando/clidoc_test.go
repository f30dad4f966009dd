package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Every command can be learnt from its own help and from docs/cli.md.
func TestEveryCommandIsDocumented(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "docs", "cli.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	for _, cmd := range commandsOf(newRootCommand(stdio{in: strings.NewReader(""), out: io.Discard, err: io.Discard})) {
		name := cmd.CommandPath()
		if cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%s has no description or no example", name)
		}
		_, section, found := strings.Cut(page, "\n### "+name+"\n")
		if !found {
			t.Errorf("docs/cli.md has no section on %s", name)
			continue
		}
		section, _, _ = strings.Cut(section, "\n##")
		if !strings.Contains(section, "\n"+name) {
			t.Errorf("docs/cli.md has no example of %s", name)
		}
		if !strings.Contains(section, "\nFlags: ") {
			continue // documented by its help alone
		}
		cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && !strings.Contains(section, "`--"+f.Name) {
				t.Errorf("docs/cli.md does not name --%s of %s", f.Name, name)
			}
		})
	}
}

// commandsOf lists the commands that do something, below and with cmd.
func commandsOf(cmd *cobra.Command) []*cobra.Command {
	if !cmd.HasSubCommands() {
		return []*cobra.Command{cmd}
	}
	var all []*cobra.Command
	for _, sub := range cmd.Commands() {
		if !sub.Hidden && sub.Name() != completionName { // that one's help is cobra's
			all = append(all, commandsOf(sub)...)
		}
	}
	return all
}
