package mtls

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/pando-ca/pando/ca/spiffeid"
)

// Rule says what the programs under a pattern do. A pattern and a name together make it unique.
type Rule struct {
	Pattern       Pattern
	Name          string // of the listener or dialer; empty: all
	Mode          Mode   // of listeners that follow policy
	PlaintextDial bool   // whether dialers whose code allows plaintext may use it
}

// Compare is negative when r is narrower than q; see [Pattern.Compare].
func (r Rule) Compare(q Rule) int {
	named := func(r Rule) int {
		if r.Name != "" {
			return 0
		}
		return 1
	}
	return cmp.Or(r.Pattern.Compare(q.Pattern), cmp.Compare(named(r), named(q)), cmp.Compare(r.Name, q.Name))
}

// Policy is rules, ready to be asked for those of one SPIFFE ID. It is immutable, and safe for
// concurrent use.
type Policy struct{ root node }

// node is a place in the patterns, reached by the segments before it.
type node struct {
	next map[string]*node // by segment, the wildcards too
	here []Rule           // whose patterns end here
}

// NewPolicy returns a policy of rules, each with another pattern or name.
func NewPolicy(rules []Rule) *Policy {
	p := &Policy{}
	for _, rule := range rules {
		if rule.Pattern.IsZero() {
			continue // it matches nothing
		}
		at := &p.root
		for rest := rule.Pattern.text; rest != ""; {
			var segment string
			segment, rest = cutSegment(rest)
			if at.next == nil {
				at.next = make(map[string]*node)
			}
			if at.next[segment] == nil {
				at.next[segment] = &node{}
			}
			at = at.next[segment]
		}
		at.here = append(at.here, rule)
	}
	return p
}

// Match returns all rules whose patterns match, the narrowest first. What it costs grows with
// the patterns that begin as the path does, and not with all that there are.
func (p *Policy) Match(id spiffeid.ID) []Rule {
	var found []Rule
	if !id.IsZero() {
		found = p.root.match(id.Path(), nil)
	}
	slices.SortFunc(found, Rule.Compare)
	return found
}

func (n *node) match(path string, found []Rule) []Rule {
	if path == "" {
		return append(found, n.here...)
	}
	if rest := n.next[anyRest]; rest != nil {
		found = append(found, rest.here...)
	}
	segment, path := cutSegment(path)
	for _, want := range [...]string{segment, oneSegment} {
		if next := n.next[want]; next != nil {
			found = next.match(path, found)
		}
	}
	return found
}

// Effective is what holds for one SPIFFE ID at a moment.
type Effective struct {
	// Version changes with the contents and is equal for equal contents: 32 hex digits.
	Version string
	// Rules are those that decide, at most one for each name, ordered by name: a listener or
	// dialer goes by the rule with its name, or else by the one without. None at all: strict, and
	// no plaintext.
	Rules []Rule
	// Overruled are those that match and decide nothing, the narrowest first.
	Overruled []Rule
	// Overrides are those in force.
	Overrides []Override
}

// Effective decides what holds for id, by the overrides in force at now.
func (p *Policy) Effective(id spiffeid.ID, overrides []Override, now time.Time) *Effective {
	e := &Effective{}
	var unnamed bool
	names := make(map[string]bool)
	for _, rule := range p.Match(id) {
		// One without a name, once seen, is narrower than all that follow, for every name.
		if unnamed || names[rule.Name] {
			e.Overruled = append(e.Overruled, rule)
			continue
		}
		names[rule.Name], unnamed = true, rule.Name == ""
		e.Rules = append(e.Rules, rule)
	}
	slices.SortFunc(e.Rules, func(a, b Rule) int { return cmp.Compare(a.Name, b.Name) })
	for _, o := range overrides {
		if o.InForce(now) && o.Pattern.Matches(id) {
			e.Overrides = append(e.Overrides, o)
		}
	}
	slices.SortFunc(e.Overrides, func(a, b Override) int { return cmp.Compare(a.ID, b.ID) })
	e.Version = e.digest()
	return e
}

// digest is a fingerprint of what a program is told.
func (e *Effective) digest() string {
	hash := sha256.New()
	io.WriteString(hash, "pando mtls 1\n")
	for _, r := range e.Rules {
		fmt.Fprintf(hash, "rule %q %q %t\n", r.Name, string(r.Mode), r.PlaintextDial)
	}
	for _, o := range e.Overrides {
		fmt.Fprintf(hash, "override %q %q %q %d %q\n", o.ID, o.Name, string(o.Side), o.Expires.UnixMicro(), o.Reason)
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}
