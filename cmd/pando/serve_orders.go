package main

import (
	"context"
	"errors"
	"time"

	"github.com/pando-ca/pando/rotation"
	"github.com/pando-ca/pando/server"
)

// byHand has the rotation take orders from the use cases, which do not know it.
type byHand struct{ rotator *rotation.Rotator }

var (
	_ server.Orders    = byHand{}
	_ server.Incidents = byHand{}
)

// Carry implements server.Orders.
func (b byHand) Carry(ctx context.Context, o server.AuthorityOrder, dry bool, now time.Time) (*server.AuthorityOutcome, error) {
	done, err := b.rotator.Carry(ctx, rotation.Order{
		Action: rotation.Action(o.Action), Authority: o.Authority, Role: o.Role, Issuers: o.Issuers,
		Actor: o.Actor, Reason: o.Reason, Force: o.Force, Rate: o.Rate, Deadline: o.Deadline,
	}, dry, now)
	var refusal *rotation.Refusal
	switch {
	case errors.As(err, &refusal):
		return nil, server.Refused(refusal.Message, refusal.Force)
	case errors.Is(err, rotation.ErrNoKey):
		return nil, server.Refused(err.Error(), false)
	case err != nil:
		return nil, err
	}
	outcome := &server.AuthorityOutcome{
		Generation: done.Generation, CutOff: done.CutOff, Followers: done.Followers, Behind: done.Behind, Objection: done.Objection,
	}
	for _, c := range done.Changes {
		outcome.Changes = append(outcome.Changes, server.AuthorityChange(c))
	}
	if i := done.Incident; i != nil {
		declared := incidentOf(rotation.Progress{Incident: *i, Left: i.Total})
		outcome.Incident = &declared
	}
	return outcome, nil
}

// Incidents implements server.Incidents.
func (b byHand) Incidents(ctx context.Context, limit int, now time.Time) ([]server.Incident, error) {
	all, err := b.rotator.Incidents(ctx, limit, now)
	var incidents []server.Incident
	for _, p := range all {
		incidents = append(incidents, incidentOf(p))
	}
	return incidents, err
}

// Incident implements server.Incidents.
func (b byHand) Incident(ctx context.Context, id string, now time.Time) (*server.Incident, error) {
	p, err := b.rotator.Incident(ctx, id, now)
	if err != nil {
		return nil, err
	}
	i := incidentOf(*p)
	return &i, nil
}

func incidentOf(p rotation.Progress) server.Incident {
	i := p.Incident
	return server.Incident{
		ID: i.ID, CreatedAt: i.CreatedAt, Actor: i.Actor, Reason: i.Reason, Issuers: i.Issuers,
		StartsAt: i.StartsAt, Deadline: i.Deadline, Rate: i.Rate, Total: i.Total, ClosedAt: i.ClosedAt,
		Replaced: p.Replaced, Left: p.Left, Overdue: p.Overdue, RateNow: p.RateNow, DoneAt: p.Done,
	}
}
