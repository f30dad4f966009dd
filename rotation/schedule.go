package rotation

import (
	"errors"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// schedule says when a job runs. It is a function of the clock alone.
type schedule struct {
	moments cron.Schedule
	period  time.Duration // the longest time between two moments
	offset  time.Duration // by which this process runs later
}

// Next is the first moment after now at which the job runs; it implements [cron.Schedule].
func (s schedule) Next(now time.Time) time.Time {
	next := s.moments.Next(now.Add(-s.offset))
	if next.IsZero() {
		return next
	}
	return next.Add(s.offset)
}

// parseSchedule reads cron fields in UTC, a descriptor, or @every with a duration.
func parseSchedule(text string) (schedule, error) {
	// A zone would need a database of zones, which the container image has none of; and the
	// parser panics on one that nothing follows.
	if strings.HasPrefix(text, "TZ=") || strings.HasPrefix(text, "CRON_TZ=") {
		return schedule{}, errors.New("names a time zone: schedules are in UTC")
	}
	moments, err := cron.ParseStandard(text)
	if err != nil {
		return schedule{}, err
	}
	switch m := moments.(type) {
	case cron.ConstantDelaySchedule:
		moments = every(m.Delay)
	case *cron.SpecSchedule:
		m.Location = time.UTC // the parser's own choice is the zone of the machine
	}
	period := longestGap(moments)
	if period == 0 {
		return schedule{}, errors.New("names no moment that ever comes")
	}
	return schedule{moments: moments, period: period}, nil
}

// every is the moments that are whole multiples of a duration. Counting from the clock, not
// from the start of the process, a restart does not put a run off.
type every time.Duration

func (d every) Next(now time.Time) time.Time {
	return now.Truncate(time.Duration(d)).Add(time.Duration(d))
}

// gapsLooked is enough to meet the longest gap of any weekly pattern, and that between a
// short and a long month.
const gapsLooked = 60

// longestGap is the longest time between two moments, 0 if there are no two. It looks from a
// fixed date, so that equal schedules have equal periods on every replica.
func longestGap(moments cron.Schedule) time.Duration {
	longest := time.Duration(0)
	last := moments.Next(time.Date(2024, time.January, 1, 0, 0, 0, 0, time.UTC))
	for range gapsLooked {
		next := moments.Next(last)
		if last.IsZero() || next.IsZero() {
			break
		}
		longest = max(longest, next.Sub(last))
		last = next
	}
	return longest
}
