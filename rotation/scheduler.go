package rotation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/robfig/cron/v3"
)

// Errors of [Scheduler.RunNow].
var (
	// ErrUnknownJob says that no job has this name.
	ErrUnknownJob = errors.New("no such job")
	// ErrRunning says that the job is being done already.
	ErrRunning = errors.New("job is running")
)

// defaultJitter spreads the replicas over a time in which their work is short.
const defaultJitter = 30 * time.Second

// SchedulerConfig configures a [Scheduler].
type SchedulerConfig struct {
	Jobs []Job

	// Jitter is the most by which a job runs later than its schedule says; never more than
	// a tenth of its period. 0 means 30 seconds; a negative one means none.
	Jitter time.Duration
	Log    *slog.Logger // none: discarded
}

// Scheduler runs jobs by their schedules. It is safe for concurrent use.
type Scheduler struct {
	jobs []*job // in the order of the configuration
}

// NewScheduler returns a Scheduler of cfg.Jobs. It runs nothing by itself; see Run and RunNow.
func NewScheduler(cfg SchedulerConfig) (*Scheduler, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Jitter == 0 {
		cfg.Jitter = defaultJitter
	}
	s := &Scheduler{}
	for _, c := range cfg.Jobs {
		if s.find(c.Name) != nil {
			return nil, fmt.Errorf("scheduler: two jobs are called %q", c.Name)
		}
		j, err := newJob(c, cfg.Jitter, cfg.Log)
		if err != nil {
			return nil, fmt.Errorf("scheduler: %w", err)
		}
		s.jobs = append(s.jobs, j)
	}
	return s, nil
}

// Run runs the jobs until ctx ends. It returns nil once the last run has ended.
func (s *Scheduler) Run(ctx context.Context) error {
	c := cron.New(cron.WithLocation(time.UTC), cron.WithLogger(cron.DiscardLogger))
	for _, j := range s.jobs {
		c.Schedule(j.schedule, cron.FuncJob(func() { j.tick(ctx) }))
	}
	c.Start()
	<-ctx.Done()
	<-c.Stop().Done()
	return nil
}

// RunNow runs a job once, outside of its schedule, and returns the job's error when it has
// ended; or ErrUnknownJob; or ErrRunning. What must be there before requests are served is
// made by it. Run need not be running.
func (s *Scheduler) RunNow(ctx context.Context, name string) error {
	j := s.find(name)
	if j == nil {
		return fmt.Errorf("run %q: %w", name, ErrUnknownJob)
	}
	if err := j.run(ctx); err != nil {
		return fmt.Errorf("run %q: %w", name, err)
	}
	return nil
}

// Status tells what is known of each job at now, in the order of the configuration.
func (s *Scheduler) Status(now time.Time) []Status {
	all := make([]Status, len(s.jobs))
	for i, j := range s.jobs {
		all[i] = j.statusAt(now)
	}
	return all
}

func (s *Scheduler) find(name string) *job {
	for _, j := range s.jobs {
		if j.Name == name {
			return j
		}
	}
	return nil
}
