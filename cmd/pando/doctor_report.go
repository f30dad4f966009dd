package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/pando-ca/pando/server"
)

// doctorCheckJSON is what a check has found, and where.
type doctorCheckJSON struct {
	checkJSON
	Server string `json:"server,omitempty"` // of several: the one that has found it; empty: all of them
}

// doctorReportJSON is what pando doctor prints, the worst first.
type doctorReportJSON struct {
	Level  server.Level      `json:"level"` // of the worst
	At     time.Time         `json:"at"`
	Checks []doctorCheckJSON `json:"checks"`
}

func newDoctorReport(checks []doctorCheckJSON, now time.Time) *doctorReportJSON {
	r := &doctorReportJSON{Level: server.LevelOK, At: now.UTC(), Checks: append([]doctorCheckJSON{}, checks...)}
	slices.SortStableFunc(r.Checks, func(a, b doctorCheckJSON) int {
		switch {
		case a.Level.Worse(b.Level):
			return -1
		case b.Level.Worse(a.Level):
			return 1
		}
		return 0
	})
	for _, c := range checks {
		if c.Level.Worse(r.Level) {
			r.Level = c.Level
		}
	}
	return r
}

// count is how many checks have found what is so bad.
func (r *doctorReportJSON) count(level server.Level) (n int) {
	for _, c := range r.Checks {
		if c.Level == level {
			n++
		}
	}
	return n
}

// summary is the numbers of checks by level, the worst first.
func (r *doctorReportJSON) summary() string {
	var parts []string
	for _, level := range slices.Backward(server.Levels()) {
		if n := r.count(level); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, level))
		}
	}
	return strings.Join(parts, ", ")
}

// failure ends the process with the code for the worst level.
func (r *doctorReportJSON) failure() error {
	var names []string
	for _, c := range r.Checks {
		if c.Level != server.LevelOK && !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	switch r.Level {
	case server.LevelOK:
		return nil
	case server.LevelCritical:
		return withExitCode(exitCritical, fmt.Errorf("%s: %s", r.summary(), printable(strings.Join(names, ", "))))
	}
	return withExitCode(exitWarning, fmt.Errorf("%s: %s", r.summary(), printable(strings.Join(names, ", "))))
}

// result is the report for people and programs.
func (r *doctorReportJSON) result(colour bool) result {
	return result{value: r, table: func(w *tabwriter.Writer) {
		width := 0
		for _, c := range r.Checks {
			width = max(width, len(c.title()))
		}
		fmt.Fprintf(w, "%s\n\n", r.summary()) // a tabwriter keeps it until Flush, which reports errors
		for _, c := range r.Checks {
			level := fmt.Sprintf("%-8s", printable(string(c.Level)))
			if colour {
				level = paint(c.Level, level)
			}
			fmt.Fprintf(w, "%s  %-*s  %s\n", level, width, c.title(), printable(c.Finding))
			if c.Advice != "" {
				fmt.Fprintf(w, "%8s  %-*s  do: %s\n", "", width, "", printable(c.Advice))
			}
		}
	}}
}

// title is the name of a check, and of the server where several were asked.
func (c *doctorCheckJSON) title() string {
	if c.Server == "" {
		return printable(c.Name)
	}
	return printable(c.Name + " at " + c.Server)
}

// paint colours a level as terminals know it (ECMA-48, SGR).
func paint(level server.Level, text string) string {
	code := 32 // green
	switch level {
	case server.LevelCritical:
		code = 31 // red
	case server.LevelWarning, server.LevelUnknown:
		code = 33 // yellow
	}
	return fmt.Sprintf("\x1b[%dm%s\x1b[0m", code, text)
}

// coloured reports whether colours may be used: on a terminal, unless somebody has said no.
func coloured(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && term.IsTerminal(int(file.Fd()))
}
