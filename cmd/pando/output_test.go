package main

import (
	"bytes"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestPrintableKeepsNamesOnTheirLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "",
		"spiffe://example.org/web": "spiffe://example.org/web",
		"Zürich, 東京":               "Zürich, 東京",
		"a\nb":                     `a\nb`,
		"a\tb":                     `a\tb`,
		"\x1b[31mred\x1b[0m":       `\x1b[31mred\x1b[0m`,
		"\u202egro.elpmaxe":        `\u202egro.elpmaxe`,
		"not UTF-8 \xff":           `not UTF-8 \xff`,
		"\x07":                     `\a`,
	} {
		if got := printable(text); got != want {
			t.Errorf("printable(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestTimesAreAbsoluteAndRelative(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		after time.Duration
		want  string
	}{
		"now":               {0, "2026-05-04T12:00:00Z (now)"},
		"in a minute":       {time.Minute, "2026-05-04T12:01:00Z (in 60s)"},
		"in an hour":        {time.Hour, "2026-05-04T13:00:00Z (in 60m)"},
		"a day ago":         {-24 * time.Hour, "2026-05-03T12:00:00Z (24h ago)"},
		"in two months":     {60 * day, "2026-07-03T12:00:00Z (in 60d)"},
		"in three years":    {3 * 365 * day, "2029-05-03T12:00:00Z (in 3y)"},
		"half a second ago": {-500 * time.Millisecond, "2026-05-04T11:59:59Z (now)"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := timeText(now.Add(tc.after).In(time.FixedZone("", 7200)), now); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	if got := timeText(time.Time{}, now); got != "" {
		t.Errorf("no time is %q", got)
	}
}

func TestResultForms(t *testing.T) {
	r := result{
		value: entryPageJSON{Entries: []entryJSON{{ID: "ent_1", SPIFFEID: "spiffe://example.org/<a>", Profile: "yes", Method: "join_token",
			CreatedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), CreatedBy: "line\nbreak"}}},
		ids: []string{"ent_1", "ent_2"},
		pem: "-----BEGIN…",
		table: func(w *tabwriter.Writer) {
			row(w, "A", "B")
			row(w, "long cell", "x\ty")
			fact(w, "Empty", "")
		},
	}
	for form, want := range map[string]string{
		formID:    "ent_1\nent_2\n",
		formPEM:   "-----BEGIN…",
		formTable: "A          B\nlong cell  x\\ty\n",
		formJSON: `{
  "entries": [
    {
      "id": "ent_1",
      "spiffe_id": "spiffe://example.org/<a>",
      "profile": "yes",
      "method": "join_token",
      "created_at": "2026-01-02T03:04:05Z",
      "created_by": "line\nbreak"
    }
  ]
}
`,
		formYAML: `entries:
  - id: ent_1
    spiffe_id: spiffe://example.org/<a>
    profile: "yes"
    method: join_token
    created_at: "2026-01-02T03:04:05Z"
    created_by: |-
      line
      break
`,
	} {
		t.Run(form, func(t *testing.T) {
			var out bytes.Buffer
			if err := r.write(&out, form); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, out.String()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
