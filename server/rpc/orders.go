package rpc

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/pando-ca/pando/api/v1"
	"github.com/pando-ca/pando/server"
)

// order carries out an order, and answers with what became of it.
func order(ctx context.Context, service *server.Service, o server.AuthorityOrder) (*apiv1.AuthorityOutcome, error) {
	outcome, err := service.Order(ctx, requestOf(ctx).Caller, o)
	if err != nil {
		return nil, err
	}
	return newOutcome(outcome), nil
}

// PrepareAuthority implements apiv1.AuthorityServiceServer.
func (s *authorities) PrepareAuthority(ctx context.Context, in *apiv1.PrepareAuthorityRequest) (*apiv1.AuthorityOutcome, error) {
	return order(ctx, s.service, server.AuthorityOrder{Action: server.ActionPrepare, Reason: in.GetReason(), DryRun: in.GetDryRun()})
}

// RotateAuthority implements apiv1.AuthorityServiceServer.
func (s *authorities) RotateAuthority(ctx context.Context, in *apiv1.RotateAuthorityRequest) (*apiv1.AuthorityOutcome, error) {
	return order(ctx, s.service, server.AuthorityOrder{
		Action: server.ActionRotate, Role: server.AuthorityRole(in.GetRole()), Reason: in.GetReason(), DryRun: in.GetDryRun(),
	})
}

// ActivateAuthority implements apiv1.AuthorityServiceServer.
func (s *authorities) ActivateAuthority(ctx context.Context, in *apiv1.ActivateAuthorityRequest) (*apiv1.AuthorityOutcome, error) {
	return order(ctx, s.service, server.AuthorityOrder{
		Action: server.ActionActivate, Authority: in.GetId(), Reason: in.GetReason(), Force: in.GetForce(), DryRun: in.GetDryRun(),
	})
}

// TaintAuthority implements apiv1.AuthorityServiceServer.
func (s *authorities) TaintAuthority(ctx context.Context, in *apiv1.TaintAuthorityRequest) (*apiv1.AuthorityOutcome, error) {
	return order(ctx, s.service, server.AuthorityOrder{
		Action: server.ActionTaint, Authority: in.GetId(), Reason: in.GetReason(),
		Rate: in.GetRate(), Deadline: orZero(in.GetDeadline()), DryRun: in.GetDryRun(),
	})
}

// RevokeAuthority implements apiv1.AuthorityServiceServer.
func (s *authorities) RevokeAuthority(ctx context.Context, in *apiv1.RevokeAuthorityRequest) (*apiv1.AuthorityOutcome, error) {
	return order(ctx, s.service, server.AuthorityOrder{
		Action: server.ActionRevoke, Authority: in.GetId(), Reason: in.GetReason(), Force: in.GetForce(), DryRun: in.GetDryRun(),
	})
}

func newOutcome(o *server.AuthorityOutcome) *apiv1.AuthorityOutcome {
	out := &apiv1.AuthorityOutcome{
		DryRun: o.DryRun, Generation: o.Generation, CutOff: int32(o.CutOff),
		Followers: int32(o.Followers), Behind: int32(o.Behind), Objection: o.Objection,
	}
	for _, c := range o.Changes {
		out.Changes = append(out.Changes, &apiv1.AuthorityChange{Authority: c.Authority, Role: string(c.Role), From: string(c.From), To: string(c.To)})
	}
	if o.Incident != nil {
		out.Incident = newIncident(o.Incident)
	}
	return out
}

// orZero is the zero time for one that is not given.
func orZero(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
