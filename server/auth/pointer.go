package auth

import (
	"errors"
	"strings"
)

// pointer leads to a claim: the names to descend through.
type pointer []string

// parsePointer takes a JSON pointer (RFC 6901), or the plain name of a top-level claim, as
// entries do.
func parsePointer(text string) (pointer, error) {
	path, nested := strings.CutPrefix(text, "/")
	switch {
	case path == "":
		return nil, errors.New("names no claim")
	case !nested:
		return pointer{text}, nil
	}
	unescape := strings.NewReplacer("~1", "/", "~0", "~") // RFC 6901 section 4
	p := pointer(strings.Split(path, "/"))
	for i := range p {
		p[i] = unescape.Replace(p[i])
	}
	return p, nil
}

// lookup returns the claim, nil if there is none.
func (p pointer) lookup(claims map[string]any) any {
	var value any = claims
	for _, name := range p {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}
