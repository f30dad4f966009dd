package policy

import (
	"errors"
	"strings"
)

// Pointer leads to a claim: the names to descend through. The zero Pointer leads nowhere.
type Pointer []string

var pointerUnescape = strings.NewReplacer("~1", "/", "~0", "~") // RFC 6901 section 4

// ParsePointer takes a JSON pointer (RFC 6901), or the plain name of a top-level claim.
func ParsePointer(text string) (Pointer, error) {
	if strings.ContainsAny(text, "{}") {
		return nil, errors.New("braces cannot be nested")
	}
	path, nested := strings.CutPrefix(text, "/")
	if path == "" {
		return nil, errors.New("names no claim")
	}
	if !nested {
		return Pointer{text}, nil
	}
	p := Pointer(strings.Split(path, "/"))
	for i := range p {
		p[i] = pointerUnescape.Replace(p[i])
	}
	return p, nil
}

// Lookup returns the claim, and whether there is one.
func (p Pointer) Lookup(claims map[string]any) (any, bool) {
	if len(p) == 0 {
		return nil, false
	}
	var value any = claims
	for _, name := range p {
		object, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, ok = object[name]; !ok {
			return nil, false
		}
	}
	return value, true
}

func (p Pointer) String() string { return strings.Join(p, "/") }
