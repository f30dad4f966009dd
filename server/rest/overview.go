package rest

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pando-ca/pando/server"
)

func (d *rest) overviewRoutes() {
	register(d, server.OpGetOverview, huma.Operation{
		Method: http.MethodGet, Path: "/v1/overview", Summary: "Tell of the deployment at a glance",
		Description: "Cheap enough to ask every other second. Requires the role viewer.",
	}, d.getOverview)
}

type overviewInput struct {
	Audit int `query:"audit" doc:"So many of the latest audit rows, 1 to 50; unset: 10."`
}
type overviewOutput struct{ Body *Overview }

func (d *rest) getOverview(ctx context.Context, ex *exchange, in *overviewInput) (*overviewOutput, error) {
	o, err := d.cfg.Service.Overview(ctx, ex.Caller, in.Audit)
	if err != nil {
		return nil, err
	}
	return &overviewOutput{newOverview(o)}, nil
}

func newOverview(o *server.Overview) *Overview {
	out := &Overview{
		At: o.At.UTC(), TrustDomain: o.TrustDomain, Generation: o.Generation, Sequence: o.Sequence, Issuer: o.Issuer, Issued: o.Issued,
		CountedAt: moment(o.CountedAt), Live: int32(o.Live), Recent: int32(o.Recent), LastBackup: moment(o.LastBackup), Audit: newAuditRows(o.Audits),
		Overrides: newEffectiveOverrides(o.Overrides),
	}
	if r := o.Rotation; r != nil {
		out.Replica, out.Leader = r.Replica, r.Leader
		out.Roles, out.Authorities = newRoleOverviews(r.Roles), newAuthorityOverviews(r.Gates)
	}
	for _, p := range o.Profiles {
		out.Profiles = append(out.Profiles, ProfileOverview{
			Profile: p.Profile, Live: int32(p.Live), Overdue: int32(p.Overdue), Expired: int32(p.Expired), Revoked: int32(p.Revoked), Earliest: moment(p.Earliest),
		})
	}
	for _, i := range o.Incidents {
		shown := IncidentOverview{ID: i.ID, StartsAt: i.StartsAt.UTC(), Deadline: i.Deadline.UTC(), Rate: i.Rate, Total: int32(i.Total)}
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

func newRoleOverviews(all []server.RoleProgress) []RoleOverview {
	var out []RoleOverview
	for _, r := range all {
		out = append(out, RoleOverview{
			Role: string(r.Role), Phase: r.Phase, EnteredAt: moment(r.Entered), EndsAt: moment(r.Ends), DueAt: moment(r.Due),
		})
	}
	return out
}

func newAuthorityOverviews(all []server.AuthorityProgress) []AuthorityOverview {
	var out []AuthorityOverview
	for _, a := range all {
		out = append(out, AuthorityOverview{
			ID: a.ID, Role: string(a.Role), State: string(a.State), ParentID: a.ParentID,
			NotBefore: a.NotBefore.UTC(), NotAfter: a.NotAfter.UTC(), StateSince: moment(a.StateSince),
			Waiting: a.Waiting, OpensAt: moment(a.OpensAt), Live: int32(a.Live), Followers: int32(a.Followers), Behind: int32(a.Behind),
		})
	}
	return out
}
