package rotation

import (
	"testing"
	"time"
)

func TestSchedule(t *testing.T) {
	now := time.Date(2026, time.March, 3, 10, 20, 30, 5, time.UTC) // a Tuesday
	tests := map[string]struct {
		text   string
		next   time.Time
		period time.Duration
	}{
		"an interval counts from the clock": {"@every 6h", time.Date(2026, time.March, 3, 12, 0, 0, 0, time.UTC), 6 * time.Hour},
		"an interval of seconds":            {"@every 5s", time.Date(2026, time.March, 3, 10, 20, 35, 0, time.UTC), 5 * time.Second},
		"cron fields are in UTC":            {"17 3 * * *", time.Date(2026, time.March, 4, 3, 17, 0, 0, time.UTC), 24 * time.Hour},
		"the period is the longest gap":     {"0 3 * * 1-5", time.Date(2026, time.March, 4, 3, 0, 0, 0, time.UTC), 72 * time.Hour},
		"a descriptor":                      {"@monthly", time.Date(2026, time.April, 1, 0, 0, 0, 0, time.UTC), 31 * 24 * time.Hour},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s, err := parseSchedule(test.text)
			if err != nil {
				t.Fatal(err)
			}
			if next := s.Next(now); !next.Equal(test.next) {
				t.Errorf("next is %s, want %s", next, test.next)
			}
			if next := s.Next(test.next); !next.After(test.next) {
				t.Errorf("the moment after %s is %s", test.next, next)
			}
			if s.period != test.period {
				t.Errorf("period is %s, want %s", s.period, test.period)
			}
		})
	}
}

func TestScheduleOffset(t *testing.T) {
	s, err := parseSchedule("@every 1m")
	if err != nil {
		t.Fatal(err)
	}
	s.offset = 4 * time.Second
	at := func(second int) time.Time { return time.Date(2026, time.March, 3, 10, 0, second, 0, time.UTC) }
	for now, want := range map[time.Time]time.Time{at(0): at(4), at(3): at(4), at(4): at(64), at(5): at(64)} {
		if got := s.Next(now); !got.Equal(want) {
			t.Errorf("after %s comes %s, want %s", now, got, want)
		}
	}
}

func TestScheduleRefused(t *testing.T) {
	tests := map[string]string{
		"nothing":                    "",
		"words":                      "now and then",
		"six fields":                 "0 0 3 * * *",
		"a day that never comes":     "0 0 30 2 *",
		"a time zone":                "CRON_TZ=Asia/Tokyo 0 9 * * *",
		"a time zone and no more":    "TZ=",
		"an interval without number": "@every day",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			if s, err := parseSchedule(text); err == nil {
				t.Errorf("%q was taken, with a period of %s", text, s.period)
			}
		})
	}
}

func FuzzSchedule(f *testing.F) {
	for _, seed := range []string{"@every 6h", "17 3 * * *", "@daily", "CRON_TZ=UTC 0 0 1 1 *", "TZ=", "*/7 1-5 * * 1,2"} {
		f.Add(seed)
	}
	now := time.Date(2026, time.March, 3, 10, 20, 30, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSchedule(text)
		if err != nil {
			return
		}
		if next := s.Next(now); s.period <= 0 || (!next.IsZero() && !next.After(now)) {
			t.Errorf("%q: period %s, after %s comes %s", text, s.period, now, next)
		}
	})
}
