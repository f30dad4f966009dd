package server_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
)

// jobs is a schedule of one job, prune.
type jobs struct {
	runs int
	err  error
}

func (j *jobs) Status(time.Time) []server.JobStatus {
	status := server.JobStatus{Name: "prune", Schedule: "@hourly", Succeeded: uint64(j.runs)}
	if j.err != nil {
		status.LastError = j.err.Error()
	}
	return []server.JobStatus{status}
}

func (j *jobs) RunNow(context.Context, string) error { j.runs++; return j.err }

func TestJobsAreRunByHand(t *testing.T) {
	admin := administrator(policy.RoleAdmin)
	schedule := &jobs{}
	f := newFixture(t, func(cfg *server.Config) { cfg.Jobs = schedule })
	status, err := f.RunJob(t.Context(), admin, "prune")
	if err != nil || status.Succeeded != 1 {
		t.Errorf("the run gives %+v, %v", status, err)
	}
	if _, err := f.RunJob(t.Context(), admin, "sweep"); code(err) != "not_found" || schedule.runs != 1 {
		t.Errorf("a job that does not exist gives %v after %d runs", err, schedule.runs)
	}
	schedule.err = errors.New("disk is full")
	if status, err = f.RunJob(t.Context(), admin, "prune"); err != nil || status.LastError != "disk is full" {
		t.Errorf("a run that fails gives %+v, %v", status, err)
	}
	schedule.err = server.ErrJobRunning
	if _, err := f.RunJob(t.Context(), admin, "prune"); code(err) != "conflict" {
		t.Errorf("a job that is running gives %v", err)
	}
}

func TestWithoutJobsThereIsNothingToRun(t *testing.T) {
	f := newFixture(t)
	if list, err := f.ListJobs(t.Context(), administrator(policy.RoleViewer)); err != nil || len(list) != 0 {
		t.Errorf("the list is %v, %v", list, err)
	}
	if _, err := f.RunJob(t.Context(), administrator(policy.RoleAdmin), "prune"); code(err) != "not_found" {
		t.Errorf("running one gives %v", err)
	}
}
