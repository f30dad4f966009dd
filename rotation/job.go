package rotation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// defaultTimeout bounds a run of a job that names no bound: longer than any statement of the
// jobs here takes on a large table, short enough that a hung database is noticed within the hour.
const defaultTimeout = 10 * time.Minute

// Job is work that recurs.
type Job struct {
	Name     string
	Schedule string        // five cron fields in UTC, a descriptor such as @daily, or @every 6h
	Timeout  time.Duration // bounds one run; 0 means 10 minutes

	// Do does the work that is due at now. It is not called while an earlier call is
	// running, and returns soon after ctx ends.
	Do func(ctx context.Context, now time.Time) error
}

// Status is what is known of a job, as of the moment that it was asked for.
type Status struct {
	Name     string
	Schedule string
	Period   time.Duration // the longest time between two runs
	Next     time.Time     // when it runs next

	Running     bool
	LastSuccess time.Time     // end of the last run that succeeded; zero: none since the start
	LastTook    time.Duration // of the last run, whatever became of it
	LastError   error         // of the last run; nil when it succeeded

	Succeeded uint64 // runs since the start
	Failed    uint64
	Skipped   uint64 // runs that were due while an earlier one was running
}

// job is a Job with its schedule understood, and what became of it.
type job struct {
	Job
	schedule schedule
	log      *slog.Logger

	running sync.Mutex // held by the one run

	mu     sync.Mutex
	status Status // without Next
}

func newJob(cfg Job, jitter time.Duration, log *slog.Logger) (*job, error) {
	switch {
	case cfg.Name == "":
		return nil, errors.New("a job has no name")
	case cfg.Do == nil:
		return nil, fmt.Errorf("job %q does nothing", cfg.Name)
	case cfg.Timeout < 0:
		return nil, fmt.Errorf("job %q: timeout %s is negative", cfg.Name, cfg.Timeout)
	case cfg.Timeout == 0:
		cfg.Timeout = defaultTimeout
	}
	s, err := parseSchedule(cfg.Schedule)
	if err != nil {
		return nil, fmt.Errorf("job %q: schedule %q: %w", cfg.Name, cfg.Schedule, err)
	}
	if most := min(jitter, s.period/10); most > 0 {
		s.offset = rand.N(most) //nolint:gosec // it spreads load and keeps no secret
	}
	return &job{
		Job: cfg, schedule: s, log: log.With("job", cfg.Name),
		status: Status{Name: cfg.Name, Schedule: cfg.Schedule, Period: s.period},
	}, nil
}

// run does the work once, unless it is being done.
func (j *job) run(ctx context.Context) error {
	if !j.running.TryLock() {
		j.mu.Lock()
		j.status.Skipped++
		j.mu.Unlock()
		return ErrRunning
	}
	defer j.running.Unlock()
	j.mu.Lock()
	j.status.Running = true
	j.mu.Unlock()

	now := time.Now()
	bounded, cancel := context.WithTimeout(ctx, j.Timeout)
	defer cancel()
	err := j.Do(bounded, now)
	j.ended(now, time.Now(), err)
	return err
}

// ended notes what became of a run.
func (j *job) ended(began, now time.Time, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.status.Running = false
	j.status.LastTook = now.Sub(began)
	j.status.LastError = err
	if err != nil {
		j.status.Failed++
		return
	}
	j.status.Succeeded++
	j.status.LastSuccess = now
}

// tick is a run that nobody waits for: the top of the loop, where failures are logged.
func (j *job) tick(ctx context.Context) {
	if ctx.Err() != nil {
		return
	}
	switch err := j.run(ctx); {
	case err == nil:
		j.log.DebugContext(ctx, "job done")
	case ctx.Err() != nil: // the process ends; the next one does what is left
	case errors.Is(err, ErrRunning):
		j.log.WarnContext(ctx, "job skipped: the last run is still going on")
	default:
		j.log.ErrorContext(ctx, "job failed", "error", err)
	}
}

// statusAt is the job's status as of now.
func (j *job) statusAt(now time.Time) Status {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.status
	s.Next = j.schedule.Next(now)
	return s
}
