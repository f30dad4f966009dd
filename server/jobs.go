package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/store"
)

// ErrJobRunning says that a job is running already.
var ErrJobRunning = errors.New("job is running")

// Jobs is the work that recurs on this replica.
type Jobs interface {
	// Status tells what is known of each job at now, in the order of the configuration.
	Status(now time.Time) []JobStatus
	// RunNow runs a job outside of its schedule and returns its error once it has ended;
	// ErrJobRunning when an earlier run has not.
	RunNow(ctx context.Context, name string) error
}

// JobStatus is a job, and what became of its runs since the replica started.
type JobStatus struct {
	Name     string
	Schedule string    // cron expression in UTC, or @every and an interval
	NextRun  time.Time // when it runs next
	Running  bool

	LastSuccess  time.Time     // end of the last run that succeeded; zero: none
	LastDuration time.Duration // of the last run, whatever became of it; zero: none
	LastError    string        // of the last run; empty when it succeeded

	Succeeded uint64
	Failed    uint64
	Skipped   uint64 // runs that were due while an earlier one was running
}

// ListJobs tells of every job of this replica.
func (s *Service) ListJobs(ctx context.Context, caller policy.Caller) ([]JobStatus, error) {
	if err := s.authorize(ctx, caller, OpListJobs); err != nil {
		return nil, err
	}
	if s.jobs == nil {
		return nil, nil
	}
	return s.jobs.Status(time.Now()), nil
}

// RunJob runs a job now, on this replica, and tells what became of it. A run that fails is not
// a failure of RunJob: the status says so. Who has run it is in the audit, before it runs.
func (s *Service) RunJob(ctx context.Context, caller policy.Caller, name string) (*JobStatus, error) {
	now := time.Now()
	if err := s.authorize(ctx, caller, OpRunJob); err != nil {
		return nil, err
	}
	job := s.job(name)
	if job == nil {
		return nil, notFound("there is no such job")
	}
	if s.audits != nil && !job.Running {
		audit := store.Audit{At: now, Actor: caller.Subject, Action: "job.run", Target: name}
		if err := s.audits.AppendAudit(ctx, audit); err != nil {
			return nil, fmt.Errorf("run job: %w", err)
		}
	}
	switch err := s.jobs.RunNow(ctx, name); {
	case errors.Is(err, ErrJobRunning):
		return nil, &Error{Kind: KindConflict, Code: "conflict", Message: "the job is running already", Err: err}
	case err != nil:
		s.log.WarnContext(ctx, "job that was run by hand failed", "job", name, "error", err)
	}
	return s.job(name), nil
}

// job is the status of one job now, nil if there is none of this name.
func (s *Service) job(name string) *JobStatus {
	if s.jobs == nil {
		return nil
	}
	all := s.jobs.Status(time.Now())
	for i := range all {
		if all[i].Name == name {
			return &all[i]
		}
	}
	return nil
}
