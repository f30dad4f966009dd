package diagnosis

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/pando-ca/pando/server"
)

const (
	// mostFindings is how many things one check names: who has more begins with these.
	mostFindings = 5
	day          = 24 * time.Hour
)

// verdict is what a check says, while it is put together. The zero value is in order.
type verdict struct {
	level    server.Level
	findings []string // of this level
	advice   string   // of the first of these
	fine     string   // what is said when nothing is wrong
	evidence map[string]string
}

// fine is a verdict that says this unless something else is found.
func fine(format string, args ...any) verdict {
	return verdict{level: server.LevelOK, fine: fmt.Sprintf(format, args...), evidence: make(map[string]string)}
}

// say adds a finding. What is worse takes the place of what was found before.
func (v *verdict) say(level server.Level, advice, format string, args ...any) {
	switch {
	case level.Worse(v.level):
		v.level, v.findings, v.advice = level, nil, advice
	case level != v.level:
		return
	}
	v.findings = append(v.findings, fmt.Sprintf(format, args...))
}

// grade adds a finding that is critical or a warning, or nothing when neither is so.
func (v *verdict) grade(critical, warning bool, advice, format string, args ...any) {
	switch {
	case critical:
		v.say(server.LevelCritical, advice, format, args...)
	case warning:
		v.say(server.LevelWarning, advice, format, args...)
	}
}

// note adds evidence.
func (v *verdict) note(name string, value any) { v.evidence[name] = fmt.Sprint(value) }

// check is the verdict as it is shown.
func (v *verdict) check(name string) server.Check {
	c := server.Check{Name: name, Level: v.level, Finding: v.fine, Advice: v.advice, Evidence: maps.Clone(v.evidence)}
	if len(v.findings) == 0 {
		return c
	}
	c.Finding = few(v.findings, "; ")
	return c
}

// few is the first of a list, and how many more there are.
func few(all []string, separator string) string {
	if len(all) <= mostFindings {
		return strings.Join(all, separator)
	}
	return fmt.Sprintf("%s%sand %d more", strings.Join(all[:mostFindings], separator), separator, len(all)-mostFindings)
}

// instant is a moment as people and programs read it.
func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// span is a duration without what does not matter.
func span(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + span(-d)
	case d >= 2*day:
		return fmt.Sprintf("%dd", d/day)
	case d >= time.Minute:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	}
	return d.Round(time.Millisecond).String()
}
