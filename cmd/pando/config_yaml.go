package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxConfigSize keeps a wrong file, such as a database, from being read as YAML for minutes.
const maxConfigSize = 1 << 20

// parseConfig reads YAML into cfg, over what it holds already. Unknown keys, keys that appear
// twice, aliases and a second document are errors. name is that of the file, for messages.
func parseConfig[T any](cfg *T, name string, text []byte) error {
	if len(text) > maxConfigSize {
		return fmt.Errorf("%s: is larger than %d octets", name, maxConfigSize)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil // an empty file
	} else if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: holds more than one YAML document", name)
	}
	if err := checkKeys(document.Content[0], reflect.TypeFor[T](), ""); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := document.Decode(cfg); err != nil {
		return fmt.Errorf("%s: %w", name, oneLine(err))
	}
	return nil
}

// oneLine puts the errors that yaml gathers behind each other, in the words of the file and
// not of Go.
func oneLine(err error) error {
	var several *yaml.TypeError
	if !errors.As(err, &several) {
		return err
	}
	lines := make([]string, len(several.Errors))
	for i, text := range several.Errors {
		lines[i] = plainYAML(text)
	}
	return errors.New(strings.Join(lines, "; "))
}

// plainYAML says without the names of Go's types what the decoder found. What it does not
// know stays as it is.
func plainYAML(text string) string {
	mistyped := regexp.MustCompile("^(line \\d+: )cannot unmarshal !!(\\w+)(?: (`.*`))? into (\\S+)$")
	unknown := regexp.MustCompile(`^(line \d+: )field (.+) not found in type \S+$`)
	if m := unknown.FindStringSubmatch(text); m != nil {
		return fmt.Sprintf("%sunknown key %q", m[1], m[2])
	}
	m := mistyped.FindStringSubmatch(text)
	if m == nil {
		return text
	}
	found := m[3]
	switch {
	case m[2] == "seq":
		found = "a list"
	case m[2] == "map":
		found = "a section with keys"
	case found == "":
		found = "this"
	}
	return fmt.Sprintf("%s%s stands where %s is needed", m[1], found, wordFor(m[4]))
}

// wordFor is what a value of a Go type is in a YAML file.
func wordFor(goType string) string {
	switch goType = strings.TrimPrefix(goType, "*"); {
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case goType == "bool":
		return "true or false"
	case goType == "int":
		return "a whole number"
	case goType == "float64":
		return "a number"
	case goType == "string":
		return "a text"
	}
	return "a section with keys"
}

// checkKeys refuses keys in node that type t, or what it is made of, does not have. The YAML
// decoder could do it, but not name the nearest key.
func checkKeys(node *yaml.Node, t reflect.Type, path string) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case node.Kind == yaml.AliasNode:
		return fmt.Errorf("line %d: aliases are not supported", node.Line)
	case node.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for _, item := range node.Content {
			if err := checkKeys(item, t.Elem(), path); err != nil {
				return err
			}
		}
		return nil
	case node.Kind != yaml.MappingNode:
		return nil // for the decoder to judge
	case t.Kind() != reflect.Struct:
		return fmt.Errorf("line %d: %s does not hold keys", node.Line, path)
	}
	fields := make(map[string]reflect.Type, t.NumField())
	for f := range t.Fields() {
		fields[keyOf(f)] = f.Type
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		field, ok := fields[key.Value]
		if !ok {
			return fmt.Errorf("line %d: unknown key %q%s", key.Line, joinKey(path, key.Value), didYouMean(key.Value, fields))
		}
		if err := checkKeys(node.Content[i+1], field, joinKey(path, key.Value)); err != nil {
			return err
		}
	}
	return nil
}

// keyOf is the YAML key of a field.
func keyOf(f reflect.StructField) string {
	key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return key
}

func joinKey(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// didYouMean names the known key that is nearest to a misspelt one, if one is near.
func didYouMean[V any](key string, known map[string]V) string {
	best, distance := "", 1+len(key)/3
	for candidate := range known {
		d := editDistance(key, candidate)
		if d < distance || d == distance && (best == "" || candidate < best) {
			best, distance = candidate, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %q?)", best)
}

// editDistance is the number of octets to insert, delete or replace to get from a to b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
