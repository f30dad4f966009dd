package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// duration is a span of time in the configuration: what [time.ParseDuration] takes, with days
// in front: "60d", "1d12h", "90m". A day is 24 hours.
type duration time.Duration

const day = 24 * time.Hour

// parseDuration parses the text form of a duration.
func parseDuration(text string) (duration, error) {
	days, rest, found := strings.Cut(text, "d")
	if !found {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, fmt.Errorf("%q is not a duration such as 90m, 24h or 60d", text)
		}
		return duration(d), nil
	}
	n, err := strconv.ParseInt(days, 10, 64)
	if err != nil || n > math.MaxInt64/int64(day) || n < 0 {
		return 0, fmt.Errorf("%q is not a duration such as 90m, 24h or 60d", text)
	}
	sum := time.Duration(n) * day
	if rest == "" {
		return duration(sum), nil
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || sum > math.MaxInt64-d {
		return 0, fmt.Errorf("%q is not a duration such as 90m, 24h or 60d", text)
	}
	return duration(sum + d), nil
}

// String is the shortest text that parses to the same duration: "60d", "1h", "1d12h".
func (d duration) String() string {
	t := time.Duration(d)
	if t < 0 {
		return t.String()
	}
	var b strings.Builder
	if days := t / day; days > 0 {
		fmt.Fprintf(&b, "%dd", days)
		t %= day
	}
	if t > 0 || b.Len() == 0 {
		text := t.String()
		if strings.HasSuffix(text, "m0s") {
			text = strings.TrimSuffix(text, "0s")
		}
		if strings.HasSuffix(text, "h0m") {
			text = strings.TrimSuffix(text, "0m")
		}
		b.WriteString(text)
	}
	return b.String()
}

// MarshalText makes encoders write the text form.
//
//nolint:unparam // the error is that of encoding.TextMarshaler
func (d duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the text form.
func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := parseDuration(string(text))
	if err == nil {
		*d = parsed
	}
	return err
}

// UnmarshalYAML reads the text form, and says in which line it is none.
func (d *duration) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind != yaml.ScalarNode {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: a duration such as 90m, 24h or 60d is needed here", node.Line)}}
	}
	if err := d.UnmarshalText([]byte(node.Value)); err != nil {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %v", node.Line, err)}}
	}
	return nil
}

// Set and Type make a duration a command-line flag.
func (d *duration) Set(text string) error { return d.UnmarshalText([]byte(text)) }
func (d *duration) Type() string          { return "duration" }
