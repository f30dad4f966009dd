package mtls

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pando-ca/pando/ca/spiffeid"
)

func pattern(t testing.TB, text string) Pattern {
	t.Helper()
	p, err := ParsePattern(text)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func id(t testing.TB, path string) spiffeid.ID {
	t.Helper()
	parsed, err := spiffeid.Parse("spiffe://example.org" + path)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestParsePattern(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"a literal":                        {"/ns/prod/sa/web", true},
		"one segment":                      {"/web", true},
		"a wildcard in the middle":         {"/ns/*/sa/web", true},
		"a wildcard at the end":            {"/ns/*", true},
		"a wildcard alone":                 {"/*", true},
		"any rest":                         {"/ns/**", true},
		"everything":                       {"/**", true},
		"both":                             {"/*/**", true},
		"as long as may be":                {"/" + strings.Repeat("a", MaxPattern-1), true},
		"nothing":                          {"", false},
		"a slash":                          {"/", false},
		"no slash at the beginning":        {"ns/prod", false},
		"a slash at the end":               {"/ns/", false},
		"a slash behind any rest":          {"/ns/**/", false},
		"an empty segment":                 {"/ns//web", false},
		"any rest in the middle":           {"/**/web", false},
		"any rest twice":                   {"/**/**", false},
		"a wildcard as a part":             {"/ns/pr*", false},
		"three stars":                      {"/***", false},
		"a SPIFFE ID":                      {"spiffe://example.org/web", false},
		"relative segments":                {"/ns/../web", false},
		"a dot":                            {"/.", false},
		"an alternative":                   {"/ns/{a,b}", false},
		"percent-encoding":                 {"/ns/%2a", false},
		"a letter outside ASCII":           {"/é", false},
		"NUL":                              {"/a\x00", false},
		"a line break":                     {"/a\n", false},
		"longer than may be":               {"/" + strings.Repeat("a", MaxPattern), false},
		"a space before the slash":         {" /a", false},
		"a wildcard that is quoted":        {`/\*`, false},
		"a wildcard in place of the slash": {"*", false},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := ParsePattern(c.text)
			if (err == nil) != c.ok {
				t.Fatalf("ParsePattern(%q): %v", c.text, err)
			}
			if c.ok && p.String() != c.text || p.IsZero() == c.ok {
				t.Errorf("parsed as %q", p)
			}
		})
	}
}

func TestPatternMatches(t *testing.T) {
	for name, c := range map[string]struct {
		pattern, path string
		want          bool
	}{
		"itself":                                  {"/ns/prod", "/ns/prod", true},
		"another segment":                         {"/ns/prod", "/ns/dev", false},
		"a segment that begins so":                {"/ns/prod", "/ns/production", false},
		"less of a segment":                       {"/ns/prod", "/ns/pro", false},
		"a segment more":                          {"/ns/prod", "/ns/prod/sa", false},
		"a segment less":                          {"/ns/prod", "/ns", false},
		"another case":                            {"/ns/prod", "/ns/Prod", false},
		"one segment for a wildcard":              {"/ns/*", "/ns/prod", true},
		"no segment for a wildcard":               {"/ns/*", "/ns", false},
		"two segments for a wildcard":             {"/ns/*", "/ns/prod/sa", false},
		"a wildcard in the middle":                {"/ns/*/sa/web", "/ns/prod/sa/web", true},
		"a wildcard in the middle, another end":   {"/ns/*/sa/web", "/ns/prod/sa/db", false},
		"one segment for any rest":                {"/ns/**", "/ns/prod", true},
		"many segments for any rest":              {"/ns/**", "/ns/prod/sa/web", true},
		"no segment for any rest":                 {"/ns/**", "/ns", false},
		"a first segment that begins so":          {"/ns/**", "/nsx/prod", false},
		"anything":                                {"/**", "/a", true},
		"a trust domain itself is under no rule":  {"/**", "", false},
		"any rest behind a wildcard":              {"/*/**", "/a/b/c", true},
		"any rest behind a wildcard, one segment": {"/*/**", "/a", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := pattern(t, c.pattern).Matches(id(t, c.path)); got != c.want {
				t.Errorf("%s matches %q: %t", c.pattern, c.path, got)
			}
		})
	}
	if (Pattern{}).Matches(id(t, "/a")) || (Pattern{}).Matches(id(t, "")) || pattern(t, "/**").Matches(spiffeid.ID{}) {
		t.Error("none matches something")
	}
}

// TestPatternsInOrder: each is narrower than those after it, in every pair.
func TestPatternsInOrder(t *testing.T) {
	ordered := []string{
		"/ns/prod/sa/web", "/ns/prod/sa/*", "/ns/prod/sa/**", "/ns/prod/sa", "/ns/prod/*/web", "/ns/prod/*/*", "/ns/prod/**",
		"/ns/*/sa/web", "/ns/*/**", "/ns/**", "/*/prod/sa/web", "/*/*", "/*", "/**",
	}
	for i, narrow := range ordered {
		for j, wide := range ordered {
			got := pattern(t, narrow).Compare(pattern(t, wide))
			if got < 0 != (i < j) || got > 0 != (i > j) {
				t.Errorf("%s against %s: %d", narrow, wide, got)
			}
		}
	}
}

func TestSpan(t *testing.T) {
	td := id(t, "").TrustDomain()
	for text, want := range map[string][2]string{
		"/web":      {"spiffe://example.org/web", "spiffe://example.org/web"},
		"/ns/*":     {"spiffe://example.org/ns/", "spiffe://example.org/ns/\x7f"},
		"/ns/*/web": {"spiffe://example.org/ns/", "spiffe://example.org/ns/\x7f"},
		"/**":       {"spiffe://example.org/", "spiffe://example.org/\x7f"},
	} {
		if first, last := pattern(t, text).Span(td); first != want[0] || last != want[1] {
			t.Errorf("%s spans %q to %q", text, first, last)
		}
	}
	if first, last := (Pattern{}).Span(td); first != "spiffe://example.org" || last <= "spiffe://example.org/zz" {
		t.Errorf("none spans %q to %q", first, last)
	}
}

// matcher is a pattern as a regular expression, to compare with.
func matcher(p Pattern) *regexp.Regexp {
	text := "^"
	for _, segment := range strings.Split(p.String(), "/")[1:] {
		switch segment {
		case "*":
			text += "/[^/]+"
		case "**":
			text += "/.+"
		default:
			text += "/" + regexp.QuoteMeta(segment)
		}
	}
	return regexp.MustCompile(text + "$")
}

// FuzzPolicy compares patterns with regular expressions, and what a policy decides with a loop
// over its rules.
func FuzzPolicy(f *testing.F) {
	f.Add("/ns/prod/**", "/ns/*/sa/web", "web", "/ns/prod/sa/web")
	f.Add("/**", "/*/**", "", "/a")
	f.Add("/a/", "/***", "UPPER", "/a//b")
	f.Fuzz(func(t *testing.T, first, second, name, path string) {
		parsed, err := spiffeid.Parse("spiffe://example.org" + path)
		if err != nil {
			return
		}
		var rules []Rule
		for i, text := range []string{first, second, path} {
			p, err := ParsePattern(text)
			if err != nil || slices.ContainsFunc(rules, func(r Rule) bool { return r.Pattern == p }) {
				continue
			}
			if got, want := p.Matches(parsed), matcher(p).MatchString(parsed.Path()); got != want {
				t.Errorf("%s matches %s: %t", p, parsed, got)
			}
			if low, high := p.Span(parsed.TrustDomain()); p.Matches(parsed) && (parsed.String() < low || parsed.String() > high) {
				t.Errorf("%s is outside of the span of %s", parsed, p)
			}
			rules = append(rules, Rule{Pattern: p, Mode: Modes()[i]})
			if CheckName(name) == nil && i%2 == 0 {
				rules = append(rules, Rule{Pattern: p, Name: name, Mode: ModePermissive})
			}
		}
		compareWithLoop(t, rules, parsed, []string{"", name, "other"})
	})
}

// compareWithLoop decides for each name without an index.
func compareWithLoop(t *testing.T, rules []Rule, who spiffeid.ID, names []string) {
	t.Helper()
	e := NewPolicy(rules).Effective(who, nil, now)
	for _, name := range names {
		var want *Rule
		for _, r := range rules {
			if r.Pattern.Matches(who) && (r.Name == "" || r.Name == name) && (want == nil || r.Compare(*want) < 0) {
				want = &r
			}
		}
		got := decided(e, name)
		if (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%s, %q: %v, want %v of %v", who, name, got, want, rules)
		}
	}
	if len(e.Rules)+len(e.Overruled) != len(NewPolicy(rules).Match(who)) {
		t.Error("a rule that matches is neither decisive nor overruled")
	}
}

// decided is the rule that a program goes by.
func decided(e *Effective, name string) *Rule {
	for _, want := range []string{name, ""} {
		for i := range e.Rules {
			if e.Rules[i].Name == want {
				return &e.Rules[i]
			}
		}
	}
	return nil
}
