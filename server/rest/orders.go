package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pando-ca/pando/server"
)

func (d *rest) orderRoutes() {
	register(d, server.OpPrepareAuthority, huma.Operation{
		Method: http.MethodPost, Path: "/v1/authorities/prepare", Summary: "Publish the next root now",
		Description: "It signs nothing until its gate opens. Requires the role admin.",
	}, d.prepareAuthority)
	register(d, server.OpRotateAuthority, huma.Operation{
		Method: http.MethodPost, Path: "/v1/authorities/rotate", Summary: "Replace the active intermediate now, or prepare the successor of the root",
		Description: "Requires the role admin.",
	}, d.rotateAuthority)
	register(d, server.OpActivateAuthority, huma.Operation{
		Method: http.MethodPost, Path: "/v1/authorities/{id}/activate", Summary: "Have a prepared root sign now",
		Description: "With force, also before its gate opens. Requires the role admin.",
	}, d.activateAuthority)
	register(d, server.OpTaintAuthority, huma.Operation{
		Method: http.MethodPost, Path: "/v1/authorities/{id}/taint", Summary: "Take an authority that may be compromised out of use",
		Description: "With a successor if it was active; what depends on it is replaced in an incident. Requires the role admin.",
	}, d.taintAuthority)
	register(d, server.OpRevokeAuthority, huma.Operation{
		Method: http.MethodPost, Path: "/v1/authorities/{id}/revoke", Summary: "Have nobody trust an authority any more, and nothing that it signed",
		Description: "Its key is destroyed. While live certificates depend on it, it takes force. Requires the role admin.",
	}, d.revokeAuthority)
	register(d, server.OpCreateIncident, huma.Operation{
		Method: http.MethodPost, Path: "/v1/incidents", Summary: "Have many certificates replaced, at a rate and before a deadline",
		Description: "Requires the role admin.",
	}, d.createIncident)
	register(d, server.OpListIncidents, huma.Operation{
		Method: http.MethodGet, Path: "/v1/incidents", Summary: "List the latest hundred incidents, the newest first",
		Description: "Requires the role viewer.",
	}, d.listIncidents)
	register(d, server.OpGetIncident, huma.Operation{
		Method: http.MethodGet, Path: "/v1/incidents/{id}", Summary: "Look one incident up, and how far it has come",
		Description: "Requires the role viewer.",
	}, d.getIncident)
}

type outcomeOutput struct{ Body *AuthorityOutcome }

// order carries out an order, and answers with what became of it.
func (d *rest) order(ctx context.Context, ex *exchange, o server.AuthorityOrder) (*outcomeOutput, error) {
	outcome, err := d.cfg.Service.Order(ctx, ex.Caller, o)
	if err != nil {
		return nil, err
	}
	return &outcomeOutput{newOutcome(outcome)}, nil
}

type prepareAuthorityInput struct{ Body PrepareAuthorityRequest }

func (d *rest) prepareAuthority(ctx context.Context, ex *exchange, in *prepareAuthorityInput) (*outcomeOutput, error) {
	return d.order(ctx, ex, server.AuthorityOrder{Action: server.ActionPrepare, Reason: in.Body.Reason, DryRun: in.Body.DryRun})
}

type rotateAuthorityInput struct{ Body RotateAuthorityRequest }

func (d *rest) rotateAuthority(ctx context.Context, ex *exchange, in *rotateAuthorityInput) (*outcomeOutput, error) {
	return d.order(ctx, ex, server.AuthorityOrder{
		Action: server.ActionRotate, Role: server.AuthorityRole(in.Body.Role), Reason: in.Body.Reason, DryRun: in.Body.DryRun,
	})
}

type activateAuthorityInput struct {
	ID   string `path:"id" doc:"Identifier of the authority."`
	Body ActivateAuthorityRequest
}

func (d *rest) activateAuthority(ctx context.Context, ex *exchange, in *activateAuthorityInput) (*outcomeOutput, error) {
	return d.order(ctx, ex, server.AuthorityOrder{
		Action: server.ActionActivate, Authority: in.ID, Reason: in.Body.Reason, Force: in.Body.Force, DryRun: in.Body.DryRun,
	})
}

type taintAuthorityInput struct {
	ID   string `path:"id" doc:"Identifier of the authority."`
	Body TaintAuthorityRequest
}

func (d *rest) taintAuthority(ctx context.Context, ex *exchange, in *taintAuthorityInput) (*outcomeOutput, error) {
	return d.order(ctx, ex, server.AuthorityOrder{
		Action: server.ActionTaint, Authority: in.ID, Reason: in.Body.Reason,
		Rate: in.Body.Rate, Deadline: orZero(in.Body.Deadline), DryRun: in.Body.DryRun,
	})
}

type revokeAuthorityInput struct {
	ID   string `path:"id" doc:"Identifier of the authority."`
	Body RevokeAuthorityRequest
}

func (d *rest) revokeAuthority(ctx context.Context, ex *exchange, in *revokeAuthorityInput) (*outcomeOutput, error) {
	return d.order(ctx, ex, server.AuthorityOrder{
		Action: server.ActionRevoke, Authority: in.ID, Reason: in.Body.Reason, Force: in.Body.Force, DryRun: in.Body.DryRun,
	})
}

type incidentInput struct{ Body CreateIncidentRequest }

func (d *rest) createIncident(ctx context.Context, ex *exchange, in *incidentInput) (*outcomeOutput, error) {
	return d.order(ctx, ex, server.AuthorityOrder{
		Action: server.ActionReissue, Issuers: in.Body.Issuers, Reason: in.Body.Reason,
		Rate: in.Body.Rate, Deadline: orZero(in.Body.Deadline), DryRun: in.Body.DryRun,
	})
}

type incidentListOutput struct{ Body *IncidentList }

func (d *rest) listIncidents(ctx context.Context, ex *exchange, _ *struct{}) (*incidentListOutput, error) {
	all, err := d.cfg.Service.Incidents(ctx, ex.Caller)
	if err != nil {
		return nil, err
	}
	list := &IncidentList{Incidents: make([]Incident, len(all))}
	for i := range all {
		list.Incidents[i] = newIncident(&all[i])
	}
	return &incidentListOutput{list}, nil
}

type incidentIDInput struct {
	ID string `path:"id" doc:"Identifier of the incident."`
}
type incidentOutput struct{ Body *Incident }

func (d *rest) getIncident(ctx context.Context, ex *exchange, in *incidentIDInput) (*incidentOutput, error) {
	incident, err := d.cfg.Service.Incident(ctx, ex.Caller, in.ID)
	if err != nil {
		return nil, err
	}
	body := newIncident(incident)
	return &incidentOutput{&body}, nil
}

func newOutcome(o *server.AuthorityOutcome) *AuthorityOutcome {
	out := &AuthorityOutcome{
		DryRun: o.DryRun, Generation: o.Generation, CutOff: int32(o.CutOff),
		Followers: int32(o.Followers), Behind: int32(o.Behind), Objection: o.Objection,
	}
	for _, c := range o.Changes {
		out.Changes = append(out.Changes, AuthorityChange{Authority: c.Authority, Role: string(c.Role), From: string(c.From), To: string(c.To)})
	}
	if o.Incident != nil {
		incident := newIncident(o.Incident)
		out.Incident = &incident
	}
	return out
}

func newIncident(i *server.Incident) Incident {
	return Incident{
		ID: i.ID, CreatedAt: i.CreatedAt.UTC(), Actor: i.Actor, Reason: i.Reason, Issuers: i.Issuers,
		StartsAt: i.StartsAt.UTC(), Deadline: i.Deadline.UTC(), Rate: i.Rate, Total: int32(i.Total), ClosedAt: moment(i.ClosedAt),
		Replaced: int32(i.Replaced), Left: int32(i.Left), Overdue: int32(i.Overdue), RateNow: i.RateNow, DoneAt: moment(i.DoneAt),
	}
}

// orZero is the zero time for one that is not given.
func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
