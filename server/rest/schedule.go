package rest

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pando-ca/pando/server"
)

func (d *rest) scheduleRoutes() {
	register(d, server.OpListJobs, huma.Operation{
		Method: http.MethodGet, Path: "/v1/schedule", Summary: "List the jobs of the replica that answers",
		Description: "Requires the role viewer.",
	}, d.listJobs)
	register(d, server.OpRunJob, huma.Operation{
		Method: http.MethodPost, Path: "/v1/schedule/{job}/run", Summary: "Run a job now",
		Description: "On the replica that answers. It is answered once the run has ended, with what became of it. Requires the role admin.",
	}, d.runJob)
}

type jobListOutput struct{ Body *JobList }

func (d *rest) listJobs(ctx context.Context, ex *exchange, _ *struct{}) (*jobListOutput, error) {
	all, err := d.cfg.Service.ListJobs(ctx, ex.Caller)
	if err != nil {
		return nil, err
	}
	list := &JobList{Jobs: make([]Job, len(all))}
	for i := range all {
		list.Jobs[i] = newJob(&all[i])
	}
	return &jobListOutput{list}, nil
}

type jobInput struct {
	Job string `path:"job" doc:"Name of the job."`
}
type jobOutput struct{ Body *Job }

func (d *rest) runJob(ctx context.Context, ex *exchange, in *jobInput) (*jobOutput, error) {
	status, err := d.cfg.Service.RunJob(ctx, ex.Caller, in.Job)
	if err != nil {
		return nil, err
	}
	body := newJob(status)
	return &jobOutput{&body}, nil
}

func newJob(j *server.JobStatus) Job {
	shown := Job{
		Name: j.Name, Schedule: j.Schedule, NextRun: j.NextRun.UTC(), Running: j.Running,
		LastSuccess: moment(j.LastSuccess), LastError: j.LastError,
		Succeeded: j.Succeeded, Failed: j.Failed, Skipped: j.Skipped,
	}
	if j.LastDuration > 0 {
		shown.LastDuration = durationText(j.LastDuration)
	}
	return shown
}

// durationText writes a duration as protojson does: seconds, as a decimal.
func durationText(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s"
}
