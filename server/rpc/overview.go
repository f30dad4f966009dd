package rpc

import (
	"context"

	"google.golang.org/protobuf/types/known/timestamppb"

	apiv1 "github.com/pando-ca/pando/api/v1"
	"github.com/pando-ca/pando/server"
)

// overview is pando.v1.OverviewService.
type overview struct {
	apiv1.UnimplementedOverviewServiceServer
	service *server.Service
}

var _ apiv1.OverviewServiceServer = (*overview)(nil)

// GetOverview implements apiv1.OverviewServiceServer.
func (s *overview) GetOverview(ctx context.Context, in *apiv1.GetOverviewRequest) (*apiv1.Overview, error) {
	o, err := s.service.Overview(ctx, requestOf(ctx).Caller, int(in.GetAudit()))
	if err != nil {
		return nil, err
	}
	return newOverview(o), nil
}

func newOverview(o *server.Overview) *apiv1.Overview {
	out := &apiv1.Overview{
		At: timestamppb.New(o.At), TrustDomain: o.TrustDomain, Generation: o.Generation, Sequence: o.Sequence, Issuer: o.Issuer, Issued: o.Issued,
		CountedAt: moment(o.CountedAt), Live: int32(o.Live), Recent: int32(o.Recent), LastBackup: moment(o.LastBackup), Audit: newAuditRows(o.Audits),
		Overrides: newEffectiveOverrides(o.Overrides),
	}
	if r := o.Rotation; r != nil {
		out.Replica, out.Leader = r.Replica, r.Leader
		out.Roles, out.Authorities = newRoleOverviews(r.Roles), newAuthorityOverviews(r.Gates)
	}
	for _, p := range o.Profiles {
		out.Profiles = append(out.Profiles, &apiv1.ProfileOverview{
			Profile: p.Profile, Live: int32(p.Live), Overdue: int32(p.Overdue), Expired: int32(p.Expired), Revoked: int32(p.Revoked), Earliest: moment(p.Earliest),
		})
	}
	for _, i := range o.Incidents {
		shown := &apiv1.IncidentOverview{
			Id: i.ID, StartsAt: timestamppb.New(i.StartsAt), Deadline: timestamppb.New(i.Deadline), Rate: i.Rate, Total: int32(i.Total),
		}
		if i.Counted {
			left := int32(i.Left)
			shown.Left = &left
		}
		out.Incidents = append(out.Incidents, shown)
	}
	for i := range o.Failing {
		out.Failing = append(out.Failing, newJob(&o.Failing[i]))
	}
	return out
}

func newRoleOverviews(all []server.RoleProgress) []*apiv1.RoleOverview {
	var out []*apiv1.RoleOverview
	for _, r := range all {
		out = append(out, &apiv1.RoleOverview{
			Role: string(r.Role), Phase: r.Phase, EnteredAt: moment(r.Entered), EndsAt: moment(r.Ends), DueAt: moment(r.Due),
		})
	}
	return out
}

func newAuthorityOverviews(all []server.AuthorityProgress) []*apiv1.AuthorityOverview {
	var out []*apiv1.AuthorityOverview
	for _, a := range all {
		out = append(out, &apiv1.AuthorityOverview{
			Id: a.ID, Role: string(a.Role), State: string(a.State), ParentId: a.ParentID,
			NotBefore: timestamppb.New(a.NotBefore), NotAfter: timestamppb.New(a.NotAfter), StateSince: moment(a.StateSince),
			Waiting: a.Waiting, OpensAt: moment(a.OpensAt), Live: int32(a.Live), Followers: int32(a.Followers), Behind: int32(a.Behind),
		})
	}
	return out
}
