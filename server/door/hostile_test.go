package door

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
)

// TestLogLinesHoldNothingThatATerminalObeys puts hostile text into every field that a caller
// has a hand in: one line comes out, of printable characters only.
func TestLogLinesHoldNothingThatATerminalObeys(t *testing.T) {
	hostile := map[string]string{
		"a line end":                "a\n{\"msg\":\"forged\"}\r\nb",
		"ANSI codes":                "a\x1b[31mb\x1b]0;title\x07",
		"the control codes of C1":   "a\u009b31mb\u0085c",
		"another writing direction": "a\u202ecba\u2066b",
		"separators of lines":       "a\u2028b\u2029c",
		"NUL":                       "a\x00b",
		"what is not UTF-8":         "a\xff\xfeb",
		"10 kB":                     strings.Repeat("x", 10<<10),
		"a cut in a character":      strings.Repeat("x", maxLogged-1) + "é",
	}
	handlers := map[string]func(*bytes.Buffer) slog.Handler{
		"JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
	}
	for name, text := range hostile {
		for format, handler := range handlers {
			t.Run(name+" in "+format, func(t *testing.T) {
				var log bytes.Buffer
				gate := Gate{Log: slog.New(handler(&log))}
				r := Begin(text, time.Now())
				r.Caller = policy.Caller{Method: policy.MethodJWT, Subject: text}
				gate.End(t.Context(), r, &server.Error{Code: "internal", Message: text, Err: errors.New(text)})
				line, ok := strings.CutSuffix(log.String(), "\n")
				if !ok || strings.ContainsFunc(line, func(c rune) bool { return c == unicode.ReplacementChar || !unicode.IsPrint(c) }) {
					t.Errorf("the line is %q", line)
				}
				if len(line) > 4*maxLogged {
					t.Errorf("the line has %d octets", len(line))
				}
				if r.ID == text {
					t.Error("the text is taken for the identifier of the request")
				}
			})
		}
	}
}

// TestPanicsAreLoggedOnOneLine: what a handler panics with may hold what a caller sent.
func TestPanicsAreLoggedOnOneLine(t *testing.T) {
	var log bytes.Buffer
	gate := Gate{Log: slog.New(slog.NewJSONHandler(&log, nil))}
	err := gate.Recovered(t.Context(), Begin("", time.Now()), "a\n\u009b31m")
	if failure := Failure(err); failure.Kind != server.KindInternal || strings.Contains(failure.Message, "31m") {
		t.Errorf("the caller is told %+v", failure)
	}
	if line := strings.TrimSuffix(log.String(), "\n"); strings.ContainsAny(line, "\n\u009b") {
		t.Errorf("the line is %q", line)
	}
}
