package rpc

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/pando-ca/pando/api/v1"
	"github.com/pando-ca/pando/server"
)

// incidents is pando.v1.IncidentService.
type incidents struct {
	apiv1.UnimplementedIncidentServiceServer
	service *server.Service
}

var _ apiv1.IncidentServiceServer = (*incidents)(nil)

// CreateIncident implements apiv1.IncidentServiceServer.
func (s *incidents) CreateIncident(ctx context.Context, in *apiv1.CreateIncidentRequest) (*apiv1.AuthorityOutcome, error) {
	return order(ctx, s.service, server.AuthorityOrder{
		Action: server.ActionReissue, Issuers: in.GetIssuers(), Reason: in.GetReason(),
		Rate: in.GetRate(), Deadline: orZero(in.GetDeadline()), DryRun: in.GetDryRun(),
	})
}

// GetIncident implements apiv1.IncidentServiceServer.
func (s *incidents) GetIncident(ctx context.Context, in *apiv1.GetIncidentRequest) (*apiv1.Incident, error) {
	incident, err := s.service.Incident(ctx, requestOf(ctx).Caller, in.GetId())
	if err != nil {
		return nil, err
	}
	return newIncident(incident), nil
}

// ListIncidents implements apiv1.IncidentServiceServer.
func (s *incidents) ListIncidents(ctx context.Context, _ *apiv1.ListIncidentsRequest) (*apiv1.ListIncidentsResponse, error) {
	all, err := s.service.Incidents(ctx, requestOf(ctx).Caller)
	if err != nil {
		return nil, err
	}
	out := &apiv1.ListIncidentsResponse{}
	for i := range all {
		out.Incidents = append(out.Incidents, newIncident(&all[i]))
	}
	return out, nil
}

func newIncident(i *server.Incident) *apiv1.Incident {
	return &apiv1.Incident{
		Id: i.ID, CreatedAt: timestamppb.New(i.CreatedAt), Actor: i.Actor, Reason: i.Reason, Issuers: i.Issuers,
		StartsAt: timestamppb.New(i.StartsAt), Deadline: timestamppb.New(i.Deadline), Rate: i.Rate, Total: int32(i.Total), ClosedAt: moment(i.ClosedAt),
		Replaced: int32(i.Replaced), Left: int32(i.Left), Overdue: int32(i.Overdue), RateNow: i.RateNow, DoneAt: moment(i.DoneAt),
	}
}
