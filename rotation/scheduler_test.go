package rotation_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pando-ca/pando/rotation"
)

// start is where the clock of a synctest bubble stands.
var start = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

func newScheduler(t *testing.T, cfg rotation.SchedulerConfig) *rotation.Scheduler {
	t.Helper()
	s, err := rotation.NewScheduler(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// running runs s until the returned function is called, which waits for its end.
func running(t *testing.T, s *rotation.Scheduler) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	}
}

func TestSchedulerRunsAtTheMomentsOfTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(10 * time.Minute) // the process starts in between two moments
		var ran []time.Duration
		s := newScheduler(t, rotation.SchedulerConfig{Jitter: -1, Jobs: []rotation.Job{{
			Name: "work", Schedule: "@every 1h",
			Do: func(_ context.Context, now time.Time) error {
				ran = append(ran, now.Sub(start))
				return nil
			},
		}}})
		stop := running(t, s)
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		stop()
		want := []time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour}
		if diff := cmp.Diff(want, ran); diff != "" {
			t.Errorf("runs (-want +got):\n%s", diff)
		}
	})
}

func TestSchedulerJitterStaysWithinItsBound(t *testing.T) {
	tests := map[string]struct {
		schedule string
		jitter   time.Duration
		most     time.Duration
	}{
		"the default is 30 seconds":        {"@every 24h", 0, 30 * time.Second},
		"the configured one":               {"@every 24h", 2 * time.Hour, 2 * time.Hour},
		"never over a tenth of a period":   {"@every 100s", time.Hour, 10 * time.Second},
		"a negative one means none at all": {"@every 24h", -1, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			offsets := make(map[time.Duration]bool)
			for range 50 {
				s := newScheduler(t, rotation.SchedulerConfig{Jitter: test.jitter, Jobs: []rotation.Job{{
					Name: "work", Schedule: test.schedule, Do: func(context.Context, time.Time) error { return nil },
				}}})
				status := s.Status(start)[0]
				offset := status.Next.Sub(start) % status.Period
				if offset < 0 || offset >= test.most {
					t.Fatalf("offset is %s, want under %s", offset, test.most)
				}
				offsets[offset] = true
			}
			if drawn := len(offsets) > 1; drawn != (test.jitter >= 0) {
				t.Errorf("%d different offsets in 50 schedulers", len(offsets))
			}
		})
	}
}

func TestSchedulerRunsAJobOnceAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		active := 0
		s := newScheduler(t, rotation.SchedulerConfig{Jitter: -1, Jobs: []rotation.Job{{
			Name: "slow", Schedule: "@every 1m",
			Do: func(context.Context, time.Time) error {
				active++
				if active > 1 {
					t.Error("two runs at once")
				}
				time.Sleep(150 * time.Second)
				active--
				return nil
			},
		}}})
		stop := running(t, s)
		time.Sleep(2*time.Minute + 30*time.Second)
		if err := s.RunNow(t.Context(), "slow"); !errors.Is(err, rotation.ErrRunning) {
			t.Errorf("run now, while running: %v, want ErrRunning", err)
		}
		stop()
		status := s.Status(time.Now())[0]
		// Due at 1 m (done at 3 m 30 s) and 2 m (skipped); asked for at 2 m 30 s.
		if status.Succeeded != 1 || status.Skipped != 2 {
			t.Errorf("%d runs succeeded and %d were skipped, want 1 and 2", status.Succeeded, status.Skipped)
		}
	})
}

func TestSchedulerWaitsForWhatItStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		s := newScheduler(t, rotation.SchedulerConfig{Jitter: -1, Jobs: []rotation.Job{{
			Name: "work", Schedule: "@every 1m",
			Do: func(ctx context.Context, _ time.Time) error {
				<-ctx.Done()
				time.Sleep(5 * time.Second) // it has to clean up
				ended = true
				return ctx.Err()
			},
		}}})
		stop := running(t, s)
		time.Sleep(61 * time.Second)
		if !s.Status(time.Now())[0].Running {
			t.Error("the job does not run")
		}
		stop()
		if !ended {
			t.Error("Run returned before its job had ended")
		}
	})
}

func TestSchedulerBoundsARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScheduler(t, rotation.SchedulerConfig{Jobs: []rotation.Job{{
			Name: "stuck", Schedule: "@every 24h", Timeout: 20 * time.Second,
			Do: func(ctx context.Context, _ time.Time) error { <-ctx.Done(); return ctx.Err() },
		}}})
		began := time.Now()
		if err := s.RunNow(t.Context(), "stuck"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("run: %v, want a deadline exceeded", err)
		}
		if took := time.Since(began); took != 20*time.Second {
			t.Errorf("the run took %s, want 20s", took)
		}
	})
}

func TestSchedulerStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("disk is full")
		var log bytes.Buffer
		var fail atomic.Bool
		s := newScheduler(t, rotation.SchedulerConfig{
			Jitter: -1, Log: slog.New(slog.NewTextHandler(&log, nil)),
			Jobs: []rotation.Job{{
				Name: "work", Schedule: "@every 1m",
				Do: func(context.Context, time.Time) error {
					time.Sleep(time.Second)
					if fail.Load() {
						return broken
					}
					return nil
				},
			}},
		})
		want := rotation.Status{
			Name: "work", Schedule: "@every 1m", Period: time.Minute, Next: start.Add(time.Minute),
		}
		check := func(when string) {
			t.Helper()
			synctest.Wait()
			if diff := cmp.Diff(want, s.Status(time.Now())[0], cmpopts.EquateErrors(), cmpopts.EquateApproxTime(0)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		check("before the first run")

		stop := running(t, s)
		time.Sleep(90 * time.Second)
		want.Next, want.LastSuccess = start.Add(2*time.Minute), start.Add(61*time.Second)
		want.LastTook, want.Succeeded = time.Second, 1
		check("after a run that succeeded")

		fail.Store(true)
		time.Sleep(time.Minute)
		want.Next, want.LastError, want.Failed = start.Add(3*time.Minute), broken, 1
		check("after a run that failed")
		if text := log.String(); strings.Count(text, "level=ERROR") != 1 || !strings.Contains(text, "disk is full") {
			t.Errorf("a failure is not logged once: %s", text)
		}

		fail.Store(false)
		time.Sleep(time.Minute)
		stop()
		want.Next, want.LastSuccess = start.Add(4*time.Minute), start.Add(181*time.Second)
		want.LastError, want.Succeeded = nil, 2
		check("after it has recovered")
	})
}

func TestSchedulerRunNow(t *testing.T) {
	broken := errors.New("no database")
	s := newScheduler(t, rotation.SchedulerConfig{Jobs: []rotation.Job{
		{Name: "good", Schedule: "@daily", Do: func(context.Context, time.Time) error { return nil }},
		{Name: "bad", Schedule: "@daily", Do: func(context.Context, time.Time) error { return broken }},
	}})
	for name, want := range map[string]error{"good": nil, "bad": broken, "absent": rotation.ErrUnknownJob} {
		if err := s.RunNow(t.Context(), name); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if s.Status(time.Now())[0].Succeeded != 1 || s.Status(time.Now())[1].Failed != 1 {
		t.Errorf("status: %+v", s.Status(time.Now()))
	}
}

func TestSchedulerRefuses(t *testing.T) {
	do := func(context.Context, time.Time) error { return nil }
	tests := map[string][]rotation.Job{
		"a job without a name":         {{Schedule: "@daily", Do: do}},
		"a job that does nothing":      {{Name: "work", Schedule: "@daily"}},
		"a job without a schedule":     {{Name: "work", Do: do}},
		"a negative timeout":           {{Name: "work", Schedule: "@daily", Do: do, Timeout: -1}},
		"two jobs that share one name": {{Name: "work", Schedule: "@daily", Do: do}, {Name: "work", Schedule: "@hourly", Do: do}},
	}
	for name, jobs := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := rotation.NewScheduler(rotation.SchedulerConfig{Jobs: jobs}); err == nil {
				t.Error("was taken")
			}
		})
	}
}
