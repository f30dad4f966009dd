package policy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// reservedSegment is the first path segment of the SPIFFE IDs that belong to Pando: its
// servers and its administrators.
const reservedSegment = "pando"

// Reserved reports whether a SPIFFE ID belongs to Pando itself.
func Reserved(id spiffeid.ID) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(id.Path(), "/"), "/")
	return ReservedSegment(first)
}

// ReservedSegment reports whether the SPIFFE IDs with this first path segment belong to Pando
// itself.
func ReservedSegment(first string) bool { return first == reservedSegment }

// Template is a SPIFFE ID in which whole path segments may be claims: {sub}, or a JSON
// pointer (RFC 6901) into nested claims: {/kubernetes.io/namespace}. A claim fills exactly
// one segment, as a literal; it can never add, remove or widen one.
type Template struct {
	td       spiffeid.TrustDomain
	segments []segment
}

type segment struct {
	literal string
	claim   Pointer // nil for a literal
}

// ParseTemplate parses a SPIFFE ID template. The path must not be empty.
func ParseTemplate(text string) (Template, error) {
	rest, ok := strings.CutPrefix(text, "spiffe://")
	if !ok {
		return Template{}, errors.New("does not start with spiffe://")
	}
	if len(text) > spiffeid.MaxIDLength {
		return Template{}, fmt.Errorf("is longer than %d bytes", spiffeid.MaxIDLength)
	}
	name, path, ok := strings.Cut(rest, "/")
	if !ok {
		return Template{}, errors.New("has no path")
	}
	td, err := spiffeid.ParseTrustDomain(name)
	if err != nil {
		return Template{}, err
	}
	t := Template{td: td}
	for more := true; more; {
		var seg segment
		if seg, path, more, err = nextSegment(path); err != nil {
			return Template{}, err
		}
		t.segments = append(t.segments, seg)
	}
	return t, nil
}

// nextSegment splits the first segment off a path. A claim may hold slashes (it is a JSON
// pointer), so that its end is the closing brace.
func nextSegment(path string) (seg segment, rest string, more bool, err error) {
	if !strings.HasPrefix(path, "{") {
		seg.literal, rest, more = strings.Cut(path, "/")
		return seg, rest, more, spiffeid.ValidSegment(seg.literal)
	}
	name, rest, ok := strings.Cut(path[1:], "}")
	if !ok {
		return seg, "", false, errors.New("has an open brace that is not closed")
	}
	if seg.claim, err = ParsePointer(name); err != nil {
		return seg, "", false, fmt.Errorf("claim {%s}: %w", name, err)
	}
	if rest == "" {
		return seg, "", false, nil
	}
	if rest, ok = strings.CutPrefix(rest, "/"); !ok {
		return seg, "", false, fmt.Errorf("claim {%s} is not a whole path segment", name)
	}
	return seg, rest, true, nil
}

// TrustDomain is the trust domain of every ID that the template can make.
func (t Template) TrustDomain() spiffeid.TrustDomain { return t.td }

// Literal reports whether the template holds no claim.
func (t Template) Literal() bool {
	for _, s := range t.segments {
		if s.claim != nil {
			return false
		}
	}
	return true
}

// Reserved reports whether the first segment is literally Pando's own. A claim in the first
// place is judged when it is resolved.
func (t Template) Reserved() bool {
	return len(t.segments) > 0 && t.segments[0].literal == reservedSegment
}

// pastSegments sorts behind every octet that a SPIFFE ID can have.
const pastSegments = "\x7f"

// span is the first and the last text between which all IDs lie that the template can make.
func (t Template) span() (first, last string) {
	first = t.td.ID().String()
	for _, s := range t.segments {
		if s.claim != nil {
			first += "/"
			return first, first + pastSegments
		}
		first += "/" + s.literal
	}
	return first, first
}

// Resolve fills the claims in. A claim that is missing, is not a scalar or cannot be a
// path segment is a Denial.
func (t Template) Resolve(claims map[string]any) (spiffeid.ID, error) {
	segments := make([]string, len(t.segments))
	for i, s := range t.segments {
		if s.claim == nil {
			segments[i] = s.literal
			continue
		}
		value, ok := s.claim.Lookup(claims)
		if !ok {
			return spiffeid.ID{}, deny(RuleClaim, "claim %s is missing", s.claim)
		}
		text, ok := claimText(value)
		if !ok {
			return spiffeid.ID{}, deny(RuleClaim, "claim %s is neither a string, a boolean nor an integer", s.claim)
		}
		if err := spiffeid.ValidSegment(text); err != nil {
			return spiffeid.ID{}, deny(RuleClaim, "claim %s: %v", s.claim, err)
		}
		segments[i] = text
	}
	id, err := spiffeid.Join(t.td, segments...)
	if err != nil {
		return spiffeid.ID{}, deny(RuleClaim, "%v", err)
	}
	return id, nil
}
