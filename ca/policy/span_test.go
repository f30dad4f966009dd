package policy

import (
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		5 * time.Second:               "5s",
		time.Hour:                     "1h",
		24 * time.Hour:                "1d",
		26280 * time.Hour:             "1095d",
		25 * time.Hour:                "1d1h",
		24*time.Hour + 30*time.Minute: "1d30m",
		24*time.Hour + time.Second:    "1d1s",
		-time.Second:                  "-1s",
	} {
		if got := span(d).String(); got != want {
			t.Errorf("%d is %s, want %s", d, got, want)
		}
	}
}
