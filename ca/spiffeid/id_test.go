package spiffeid

import (
	"crypto/x509"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	gospiffe "github.com/spiffe/go-spiffe/v2/spiffeid"
)

// ids is the table of SPIFFE ID texts, keyed by what is special about them.
var ids = map[string]struct {
	text string
	ok   bool
}{
	"a trust domain alone":                  {"spiffe://example.org", true},
	"a path":                                {"spiffe://example.org/ns/prod/sa/web", true},
	"a trust domain like an IPv4 address":   {"spiffe://1.2.3.4/a", true},
	"every allowed character":               {"spiffe://td_1.example-x.org/A.b_c-9", true},
	"a trust domain of punctuation":         {"spiffe://-._/x", true},
	"three dots are an ordinary segment":    {"spiffe://example.org/...", true},
	"a leading dot is ordinary":             {"spiffe://example.org/.hidden", true},
	"a digit":                               {"spiffe://example.org/9", true},
	"a trust domain of 255 octets":          {"spiffe://" + strings.Repeat("a", 255) + "/x", true},
	"2048 octets":                           {longID(2048), true},
	"2049 octets":                           {longID(2049), false},
	"a trust domain of 256 octets":          {"spiffe://" + strings.Repeat("a", 256) + "/x", false},
	"a slash after the trust domain":        {"spiffe://example.org/", false},
	"a slash at the end":                    {"spiffe://example.org/a/", false},
	"an IPv6 address":                       {"spiffe://[::1]/a", false},
	"a port":                                {"spiffe://example.org:80/a", false},
	"an empty port":                         {"spiffe://example.org:/a", false},
	"a user":                                {"spiffe://u@example.org/a", false},
	"an empty user":                         {"spiffe://@example.org/a", false},
	"an upper-case trust domain":            {"spiffe://Example.org/a", false},
	"an upper-case scheme":                  {"SPIFFE://example.org/a", false},
	"a query":                               {"spiffe://example.org/a?x=1", false},
	"an empty query":                        {"spiffe://example.org/a?", false},
	"a fragment":                            {"spiffe://example.org/a#f", false},
	"an empty fragment":                     {"spiffe://example.org/a#", false},
	"percent-encoding":                      {"spiffe://example.org/a%20b", false},
	"percent-encoding of an allowed letter": {"spiffe://example.org/%61", false},
	"percent-encoding in the trust domain":  {"spiffe://ex%61mple.org/a", false},
	"an empty segment":                      {"spiffe://example.org/a//b", false},
	"a leading empty segment":               {"spiffe://example.org//a", false},
	"two dots":                              {"spiffe://example.org/a/../b", false},
	"one dot":                               {"spiffe://example.org/.", false},
	"one dot in the middle":                 {"spiffe://example.org/a/./b", false},
	"two dots at the end":                   {"spiffe://example.org/a/..", false},
	"a letter outside ASCII":                {"spiffe://example.org/é", false},
	"a trust domain outside ASCII":          {"spiffe://exämple.org/a", false},
	"a tilde":                               {"spiffe://example.org/a~b", false},
	"a colon":                               {"spiffe://example.org/a:b", false},
	"a wildcard":                            {"spiffe://example.org/*", false},
	"a wildcard trust domain":               {"spiffe://*/a", false},
	"a template":                            {"spiffe://example.org/{{a}}", false},
	"no trust domain":                       {"spiffe:///a", false},
	"nothing after the scheme":              {"spiffe://", false},
	"one slash":                             {"spiffe:/x", false},
	"nothing":                               {"", false},
	"another scheme":                        {"https://example.org/a", false},
	"a space inside":                        {"spiffe://example.org/a b", false},
	"a newline at the end":                  {"spiffe://example.org/a\n", false},
	"a NUL":                                 {"spiffe://example.org/a\x00", false},
	"an ANSI code":                          {"spiffe://example.org/\x1b[31m", false},
	"a backslash":                           {`spiffe://example.org\a`, false},
	"a space in front":                      {" spiffe://example.org/a", false},
}

func longID(n int) string {
	s := "spiffe://example.org"
	for len(s)+101 <= n {
		s += "/" + strings.Repeat("a", 100)
	}
	return s + "/" + strings.Repeat("b", n-len(s)-1)
}

func TestParse(t *testing.T) {
	for name, tt := range ids {
		t.Run(name, func(t *testing.T) {
			id, err := Parse(tt.text)
			if ok := err == nil; ok != tt.ok {
				t.Fatalf("Parse(%q) = %v, accepted %t, want %t", tt.text, err, ok, tt.ok)
			}
			if tt.ok {
				checkID(t, id, tt.text)
				return
			}
			if !id.IsZero() {
				t.Errorf("Parse(%q) returned %q with its error", tt.text, id)
			}
			if msg := err.Error(); len(msg) > 400 || strings.ContainsAny(msg, "\n\x00\x1b") {
				t.Errorf("error is not fit for a log line: %q", msg)
			}
		})
	}
}

// TestParseAgreesWithGoSPIFFE pins where the two may differ: lengths, and nothing else.
func TestParseAgreesWithGoSPIFFE(t *testing.T) {
	for name, tt := range ids {
		t.Run(name, func(t *testing.T) {
			_, err := gospiffe.FromString(tt.text)
			tooLong := len(tt.text) > MaxIDLength || strings.HasPrefix(tt.text, "spiffe://"+strings.Repeat("a", 256))
			if ok := err == nil; ok != (tt.ok || tooLong) {
				t.Errorf("go-spiffe on %q: %v, we accept: %t", tt.text, err, tt.ok)
			}
		})
	}
}

// checkID checks that the parts of an accepted ID are those of its text.
func checkID(t *testing.T, id ID, text string) {
	t.Helper()
	if id.String() != text || id.IsZero() {
		t.Errorf("String() = %q, IsZero() = %t, want %q", id, id.IsZero(), text)
	}
	td := id.TrustDomain()
	if "spiffe://"+td.String()+id.Path() != text {
		t.Errorf("trust domain %q and path %q do not make %q", td, id.Path(), text)
	}
	if !id.MemberOf(td) || !td.ID().MemberOf(td) || td.ID().Path() != "" {
		t.Errorf("%q or %q is not a member of %q", id, td.ID(), td)
	}
	if again, err := ParseTrustDomain(td.String()); err != nil || again != td {
		t.Errorf("ParseTrustDomain(%q) = %q, %v", td, again, err)
	}
	if again, err := FromURI(id.URL()); err != nil || again != id {
		t.Errorf("FromURI(URL()) = %q, %v, want %q", again, err, id)
	}
	var segments []string
	if id.Path() != "" {
		segments = strings.Split(id.Path()[1:], "/")
	}
	if again, err := Join(td, segments...); err != nil || again != id {
		t.Errorf("Join(%q, %q) = %q, %v, want %q", td, segments, again, err, id)
	}
	if _, err := gospiffe.FromString(text); err != nil {
		t.Errorf("go-spiffe refuses %q: %v", text, err)
	}
}

func TestZeroValuesBelongNowhere(t *testing.T) {
	var id ID
	var td TrustDomain
	if !id.IsZero() || !td.IsZero() || !td.ID().IsZero() || !id.TrustDomain().IsZero() {
		t.Error("a zero value is not detected as zero")
	}
	if id.String() != "" || id.Path() != "" || id.URL() != nil || td.String() != "" {
		t.Error("a zero value has parts")
	}
	if id.MemberOf(td) {
		t.Error("the zero ID is a member of the zero trust domain")
	}
	if _, err := FromURI(nil); err == nil {
		t.Error("FromURI(nil) is accepted")
	}
}

func TestMemberOfIsNoPrefixMatch(t *testing.T) {
	td, err := ParseTrustDomain("example.org")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"spiffe://example.org.evil.com/a", "spiffe://example.or/a", "spiffe://sub.example.org/a"} {
		id, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if id.MemberOf(td) {
			t.Errorf("%q is taken for a member of %q", id, td)
		}
	}
}

func TestJoinRefusesWhatIsNotOneSegment(t *testing.T) {
	td, err := ParseTrustDomain("example.org")
	if err != nil {
		t.Fatal(err)
	}
	for name, segment := range map[string]string{
		"empty":           "",
		"a slash":         "a/b",
		"climbing":        "..",
		"staying":         ".",
		"a wildcard":      "*",
		"a template":      "{{x}}",
		"a space":         "a b",
		"percent":         "%2e%2e",
		"a colon":         "system:serviceaccount",
		"beyond ASCII":    "é",
		"too long by far": strings.Repeat("a", MaxIDLength),
	} {
		t.Run(name, func(t *testing.T) {
			if id, err := Join(td, "ns", segment); err == nil {
				t.Errorf("Join accepts %q as %q", segment, id)
			}
		})
	}
	if id, err := Join(TrustDomain{}, "a"); err == nil {
		t.Errorf("Join without a trust domain made %q", id)
	}
}

func TestParseTrustDomainTakesNames(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":      "",
		"a URI":        "spiffe://example.org",
		"upper case":   "Example.org",
		"a port":       "example.org:80",
		"a path":       "example.org/a",
		"a space":      "example.org ",
		"too long":     strings.Repeat("a", MaxTrustDomainLength+1),
		"beyond ASCII": "exämple.org",
	} {
		t.Run(name, func(t *testing.T) {
			if td, err := ParseTrustDomain(text); err == nil {
				t.Errorf("ParseTrustDomain(%q) = %q", text, td)
			}
		})
	}
}

func TestFromCertificateWantsExactlyOneURI(t *testing.T) {
	a, b := &url.URL{Scheme: "spiffe", Host: "example.org", Path: "/a"}, &url.URL{Scheme: "https", Host: "example.org"}
	if id, err := FromCertificate(&x509.Certificate{URIs: []*url.URL{a}}); err != nil || id.String() != "spiffe://example.org/a" {
		t.Errorf("one SPIFFE ID: %q, %v", id, err)
	}
	for name, uris := range map[string][]*url.URL{
		"none":                nil,
		"two":                 {a, a},
		"one and another URI": {a, b},
		"another URI":         {b},
	} {
		t.Run(name, func(t *testing.T) {
			if id, err := FromCertificate(&x509.Certificate{URIs: uris}); err == nil {
				t.Errorf("accepted as %q", id)
			}
		})
	}
}

// FuzzParse holds Parse against its own parts and against go-spiffe: what we accept, it
// accepts, and what it accepts, we refuse only for length.
func FuzzParse(f *testing.F) {
	for _, tt := range ids {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := Parse(text)
		if err == nil {
			checkID(t, id, text)
			return
		}
		other, theirErr := gospiffe.FromString(text)
		if theirErr == nil && len(text) <= MaxIDLength && len(other.TrustDomain().Name()) <= MaxTrustDomainLength {
			t.Errorf("go-spiffe accepts %q, we say: %v", text, err)
		}
	})
}

func TestAnIDIsATextInJSON(t *testing.T) {
	for text, want := range map[string]string{"spiffe://example.org/web": `"spiffe://example.org/web"`, "": `""`} {
		id, _ := Parse(text) // the zero ID has a text, too
		if got, err := json.Marshal(id); err != nil || string(got) != want {
			t.Errorf("%q is %s, %v", text, got, err)
		}
	}
}
