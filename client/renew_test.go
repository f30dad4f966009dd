package client

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestDue(t *testing.T) {
	obtained := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	leaf := &snapshot{
		obtained: obtained, settle: 3 * time.Minute,
		window: window{start: obtained.Add(30 * time.Minute)},
	}
	for name, test := range map[string]struct {
		wall time.Duration // of the time of day since the certificate came
		age  time.Duration // that really went by
		want time.Duration
	}{
		"just obtained":                          {0, 0, 30 * time.Minute},
		"half way":                               {15 * time.Minute, 15 * time.Minute, 15 * time.Minute},
		"the instant itself":                     {30 * time.Minute, 30 * time.Minute, 0},
		"past it":                                {31 * time.Minute, 31 * time.Minute, -time.Minute},
		"the machine slept for a day":            {24 * time.Hour, 10 * time.Minute, -7 * time.Minute},
		"the clock was set a day ahead at once":  {24 * time.Hour, 0, 3 * time.Minute},
		"the clock was set back by a day":        {-24 * time.Hour, 10 * time.Minute, 20 * time.Minute},
		"set back by a day, and the time passed": {-24 * time.Hour, 30 * time.Minute, 0},
		"set back by a century":                  {-100 * 365 * 24 * time.Hour, 40 * time.Minute, -10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			got := leaf.due(obtained.Add(test.wall), test.age)
			if got != test.want {
				t.Errorf("due in %s, want %s", got, test.want)
			}
		})
	}
}

func TestBackoff(t *testing.T) {
	plain := errors.New("connection refused")
	asked := fmt.Errorf("renew: %w", &ServerError{Status: 503, RetryAfter: 7 * time.Second})
	for name, test := range map[string]struct {
		failures int
		limit    time.Duration
		err      error
		min, max time.Duration
	}{
		"the first":                      {1, maxBackoff, plain, 1, time.Second},
		"the fourth":                     {4, maxBackoff, plain, 1, 8 * time.Second},
		"the hundredth":                  {100, maxBackoff, plain, 1, maxBackoff},
		"little time left":               {100, 5 * time.Second, plain, 1, 5 * time.Second},
		"no time left":                   {100, 0, plain, 1, time.Second},
		"a server that asks for more":    {1, maxBackoff, asked, 7 * time.Second, 8 * time.Second},
		"a server that asks, after many": {100, maxBackoff, asked, 7 * time.Second, 8 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			seen := make(map[time.Duration]bool)
			var most time.Duration
			for range 1000 {
				d := backoff(test.failures, test.limit, test.err)
				if d < test.min || d > test.max {
					t.Fatalf("%s, want %s to %s", d, test.min, test.max)
				}
				seen[d], most = true, max(most, d)
			}
			if len(seen) < 500 || most < test.min+(test.max-test.min)/2 {
				t.Errorf("%d values up to %s: that is no full jitter", len(seen), most)
			}
		})
	}
}
