package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

// The forms that results are printed in.
const (
	formTable = "table" // for people; not for scripts, columns may be added
	formJSON  = "json"  // the API's own shape
	formYAML  = "yaml"  // the same
	formID    = "id"    // one identifier per line
	formPEM   = "pem"
)

// choice is a flag with a closed set of values. An unknown one is a usage error before
// anything is tried.
type choice struct {
	value   string
	allowed []string
	noun    string // what help calls a value; empty: the values themselves
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return firstOf(c.noun, strings.Join(c.allowed, "|")) }

// Set takes one of the allowed values.
func (c *choice) Set(text string) error {
	if !slices.Contains(c.allowed, text) {
		return fmt.Errorf("must be one of %s", strings.Join(c.allowed, ", "))
	}
	c.value = text
	return nil
}

// addChoice adds a flag that takes one of allowed, and completes it.
func addChoice(cmd *cobra.Command, name, usage string, allowed ...string) *choice {
	c := &choice{allowed: allowed}
	cmd.Flags().Var(c, name, usage)
	completeFlag(cmd, name, cobra.FixedCompletions(allowed, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// addOutput adds the flag -o. The first form is the default.
func addOutput(cmd *cobra.Command, forms ...string) *choice {
	c := &choice{value: forms[0], allowed: forms}
	cmd.Flags().VarP(c, "output", "o", "how to print the result")
	completeFlag(cmd, "output", cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp))
	return c
}

// addDuration adds a flag that takes a span of time such as 90m or 30d.
func addDuration(cmd *cobra.Command, value *duration, name, usage string) {
	cmd.Flags().Var(value, name, usage)
	cmd.Flags().Lookup(name).DefValue = "" // zero means that nothing was asked for; usage says what happens then
}

// result is something to print. What a command does not offer as a form stays empty.
type result struct {
	value any                       // json, yaml
	ids   []string                  // id
	pem   string                    // pem
	table func(w *tabwriter.Writer) // table: cells separated by tabs
}

// write writes r in a form.
func (r result) write(w io.Writer, form string) error {
	switch form {
	case formJSON:
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(r.value)
	case formYAML:
		return writeYAML(w, r.value)
	case formID:
		for _, id := range r.ids {
			if _, err := fmt.Fprintln(w, printable(id)); err != nil {
				return err
			}
		}
		return nil
	case formPEM:
		_, err := io.WriteString(w, r.pem)
		return err
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	r.table(table)
	return table.Flush()
}

// writeYAML writes the JSON form of value as YAML: same names, same order. JSON is YAML
// already; only its style is changed.
func writeYAML(w io.Writer, value any) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text.Bytes(), &document); err != nil {
		return err
	}
	if err := blockStyle(&document); err != nil {
		return err
	}
	out := yaml.NewEncoder(w)
	out.SetIndent(2)
	if err := out.Encode(&document); err != nil {
		return err
	}
	return out.Close()
}

// blockStyle gives each node the style that YAML's own writer would: quotes only where a
// reader could take a text for something else, such as yes.
func blockStyle(node *yaml.Node) error {
	node.Style = 0
	if node.Kind == yaml.ScalarNode && node.ShortTag() == "!!str" {
		var usual yaml.Node
		if err := usual.Encode(node.Value); err != nil {
			return err
		}
		node.Style = usual.Style
	}
	for _, child := range node.Content {
		if err := blockStyle(child); err != nil {
			return err
		}
	}
	return nil
}

// row writes one line of a table.
func row(w io.Writer, cells ...string) {
	for i, cell := range cells {
		cells[i] = printable(cell)
	}
	fmt.Fprintln(w, strings.Join(cells, "\t")) // a tabwriter keeps it until Flush, which reports errors
}

// fact writes one line of a description, unless there is nothing to say.
func fact(w io.Writer, name, value string) {
	if value != "" {
		row(w, name+":", value)
	}
}

// printable escapes what would move the cursor or start a line of its own: names come from
// CSRs and tokens, and must not be able to draw on an administrator's terminal.
func printable(text string) string {
	for _, r := range text {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			quoted := strconv.Quote(text)
			return quoted[1 : len(quoted)-1]
		}
	}
	return text
}

// timeText is a moment for people: when, and how far from now.
func timeText(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s (%s)", t.UTC().Format(time.RFC3339), relativeText(t, now))
}

// relativeText is how far a moment is from now: "in 59m", "3d ago".
func relativeText(t, now time.Time) string {
	d := t.Sub(now)
	switch {
	case d.Abs() < time.Second:
		return "now"
	case d < 0:
		return spanText(-d) + " ago"
	}
	return "in " + spanText(d)
}

// spanText rounds a span down to a unit that still tells something.
func spanText(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d < 2*365*day:
		return fmt.Sprintf("%dd", d/day)
	}
	return fmt.Sprintf("%dy", d/(365*day))
}
