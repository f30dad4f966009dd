package rpc

import (
	"context"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/pando-ca/pando/api/v1"
	"github.com/pando-ca/pando/server"
)

// schedule is pando.v1.ScheduleService.
type schedule struct {
	apiv1.UnimplementedScheduleServiceServer
	service *server.Service
}

var _ apiv1.ScheduleServiceServer = (*schedule)(nil)

// ListJobs implements apiv1.ScheduleServiceServer.
func (s *schedule) ListJobs(ctx context.Context, _ *apiv1.ListJobsRequest) (*apiv1.ListJobsResponse, error) {
	all, err := s.service.ListJobs(ctx, requestOf(ctx).Caller)
	if err != nil {
		return nil, err
	}
	out := &apiv1.ListJobsResponse{}
	for i := range all {
		out.Jobs = append(out.Jobs, newJob(&all[i]))
	}
	return out, nil
}

// RunJob implements apiv1.ScheduleServiceServer.
func (s *schedule) RunJob(ctx context.Context, in *apiv1.RunJobRequest) (*apiv1.Job, error) {
	status, err := s.service.RunJob(ctx, requestOf(ctx).Caller, in.GetJob())
	if err != nil {
		return nil, err
	}
	return newJob(status), nil
}

func newJob(j *server.JobStatus) *apiv1.Job {
	out := &apiv1.Job{
		Name: j.Name, Schedule: j.Schedule, NextRun: timestamppb.New(j.NextRun), Running: j.Running,
		LastSuccess: moment(j.LastSuccess), LastError: j.LastError,
		Succeeded: j.Succeeded, Failed: j.Failed, Skipped: j.Skipped,
	}
	if j.LastDuration > 0 {
		out.LastDuration = durationpb.New(j.LastDuration)
	}
	return out
}
