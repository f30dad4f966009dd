package mtls

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// MaxPattern is the greatest length of a pattern in octets. An ID that is longer than that is
// matched with wildcards.
const MaxPattern = 1024

const (
	oneSegment = "*"  // matches any one segment
	anyRest    = "**" // matches one segment or more, up to the end
)

// Pattern selects SPIFFE IDs by their path: "/ns/prod/sa/web", with * in place of any one
// segment and ** in place of the last one for any rest, of at least one segment. The zero value
// is none and matches nothing. Patterns are comparable with ==.
type Pattern struct{ text string }

// ParsePattern parses a pattern in its one textual form.
func ParsePattern(text string) (Pattern, error) {
	switch {
	case len(text) > MaxPattern:
		return Pattern{}, fmt.Errorf("pattern is longer than %d octets", MaxPattern)
	case !strings.HasPrefix(text, "/"):
		return Pattern{}, errors.New("pattern does not begin with a slash")
	}
	rest, more := text[1:], true
	for more {
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		switch {
		case segment == oneSegment, segment == anyRest && !more:
		case segment == anyRest:
			return Pattern{}, errors.New("pattern has ** before its end")
		default:
			if err := spiffeid.ValidSegment(segment); err != nil {
				return Pattern{}, fmt.Errorf("pattern: %w", err)
			}
		}
	}
	return Pattern{text}, nil
}

// String returns the pattern as it was parsed.
func (p Pattern) String() string { return p.text }

// IsZero reports whether p is none.
func (p Pattern) IsZero() bool { return p.text == "" }

// First is the first segment, which may be a wildcard.
func (p Pattern) First() string {
	first, _, _ := strings.Cut(strings.TrimPrefix(p.text, "/"), "/")
	return first
}

// Matches reports whether the path of id is one that p selects. Its trust domain does not matter.
func (p Pattern) Matches(id spiffeid.ID) bool {
	pattern, path := p.text, id.Path()
	for pattern != "" && path != "" {
		var want, have string
		want, pattern = cutSegment(pattern)
		have, path = cutSegment(path)
		switch want {
		case anyRest:
			return true
		case oneSegment, have:
		default:
			return false
		}
	}
	return !p.IsZero() && pattern == "" && path == ""
}

// cutSegment splits the first segment off a path that begins with a slash.
func cutSegment(path string) (segment, rest string) {
	if i := strings.IndexByte(path[1:], '/'); i >= 0 {
		return path[1 : i+1], path[i+1:]
	}
	return path[1:], ""
}

// Compare is negative when p is narrower than q, positive when it is wider, and 0 when they are
// one pattern. Of two that match one ID it tells which wins; between others the order means
// nothing, but it is total.
func (p Pattern) Compare(q Pattern) int {
	a, b := p.text, q.text
	for a != "" && b != "" {
		var x, y string
		x, a = cutSegment(a)
		y, b = cutSegment(b)
		if order := cmp.Compare(width(x), width(y)); order != 0 {
			return order
		}
	}
	return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(p.text, q.text))
}

// width orders segments by how much they match.
func width(segment string) int {
	switch segment {
	case anyRest:
		return 2
	case oneSegment:
		return 1
	}
	return 0
}

// pastSegments sorts behind every octet that a SPIFFE ID can have.
const pastSegments = "\x7f"

// Span is the first and the last text, both included, between which all SPIFFE IDs of td lie
// that p matches, and others with them. That of the zero pattern holds every ID of td.
func (p Pattern) Span(td spiffeid.TrustDomain) (first, last string) {
	first = td.ID().String()
	for rest := p.text; rest != ""; {
		var segment string
		if segment, rest = cutSegment(rest); width(segment) > 0 {
			first += "/"
			return first, first + pastSegments
		}
		first += "/" + segment
	}
	if p.IsZero() {
		return first, first + "/" + pastSegments
	}
	return first, first
}
