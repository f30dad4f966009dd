package main

import (
	"math"
	"testing"
	"time"
)

func TestDurationParsesDays(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0":       0,
		"0s":      0,
		"1h":      time.Hour,
		"90m":     90 * time.Minute,
		"60d":     60 * day,
		"1d12h":   36 * time.Hour,
		"0d1s":    time.Second,
		"106751d": 106751 * day,
		"-1s":     -time.Second,
	} {
		got, err := parseDuration(text)
		if err != nil || time.Duration(got) != want {
			t.Errorf("parseDuration(%q) = %v, %v, want %v", text, got, err, want)
		}
		again, err := parseDuration(got.String())
		if err != nil || again != got {
			t.Errorf("%q prints as %q, which parses as %v, %v", text, got, again, err)
		}
	}
}

func TestDurationRefusesWhatIsNone(t *testing.T) {
	for _, text := range []string{"", "d", "1", "1.5d", "-1d", "1d-1h", "1dd", "1h1d", "106752d", "106751d24h", "99999999999999999999d", "60 d", "1y"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("parseDuration(%q) = %v, want an error", text, got)
		}
	}
}

func TestDurationTextIsShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                                "0s",
		time.Second:                      "1s",
		time.Minute:                      "1m",
		time.Hour:                        "1h",
		90 * time.Minute:                 "1h30m",
		10 * time.Minute:                 "10m",
		time.Hour + 20*time.Second:       "1h0m20s",
		day:                              "1d",
		day + 12*time.Hour:               "1d12h",
		-time.Hour:                       "-1h0m0s",
		math.MaxInt64 * time.Duration(1): "106751d23h47m16.854775807s",
	} {
		if got := duration(d).String(); got != want {
			t.Errorf("%v prints as %q, want %q", d, got, want)
		}
	}
}
