package server_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pando-ca/pando/ca/policy"
	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
)

// orders carries orders out by calling a function.
type orders struct {
	carry func(server.AuthorityOrder) (*server.AuthorityOutcome, error)
}

func (o orders) Carry(_ context.Context, order server.AuthorityOrder, dry bool, _ time.Time) (*server.AuthorityOutcome, error) {
	if dry != order.DryRun {
		return nil, errors.New("it is not clear whether this is a dry run")
	}
	if o.carry == nil {
		return &server.AuthorityOutcome{}, nil
	}
	return o.carry(order)
}

func (orders) Incidents(context.Context, int, time.Time) ([]server.Incident, error) {
	return []server.Incident{{ID: "i"}}, nil
}

func (orders) Incident(_ context.Context, id string, _ time.Time) (*server.Incident, error) {
	if id != "i" {
		return nil, fmt.Errorf("read incident: %w", store.ErrNotFound)
	}
	return &server.Incident{ID: "i"}, nil
}

// TestAnOrderIsFollowedAtOnce: the replica that was asked does not wait to be told.
func TestAnOrderIsFollowedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *fixture
		o := orders{}
		f = newFixture(t, func(cfg *server.Config) {
			cfg.Orders = orders{func(order server.AuthorityOrder) (*server.AuthorityOutcome, error) { return o.carry(order) }}
		})
		prepared := f.pki.Prepare(t)
		f.commit(t, f.pki)
		f.follow(t, behind{untold{Generations: f.store}}, newOpeners(f.pki, prepared))
		synctest.Wait()
		o.carry = func(order server.AuthorityOrder) (*server.AuthorityOutcome, error) {
			if !order.DryRun {
				f.commit(t, prepared)
			}
			return &server.AuthorityOutcome{Generation: 2}, nil
		}
		for _, dry := range []bool{true, false} {
			outcome, err := f.Order(t.Context(), administrator(policy.RoleAdmin), server.AuthorityOrder{Action: server.ActionPrepare, DryRun: dry})
			if err != nil || outcome.DryRun != dry {
				t.Fatalf("outcome %+v, %v", outcome, err)
			}
			if followed := f.Set().Generation() == 2; followed == dry {
				t.Errorf("dry run %t: generation %d is in use", dry, f.Set().Generation())
			}
		}
	})
}

func TestOrdersAreChecked(t *testing.T) {
	f := newFixture(t, func(cfg *server.Config) { cfg.Orders = orders{} })
	admin := administrator(policy.RoleAdmin)
	for name, order := range map[string]server.AuthorityOrder{
		"an unknown action":       {Action: "forget"},
		"too many issuers":        {Action: server.ActionReissue, Reason: "r", Issuers: make([]string, 101)},
		"a reason that is broken": {Action: server.ActionTaint, Reason: "a\xffb"},
	} {
		if _, err := f.Order(t.Context(), admin, order); code(err) != "invalid_request" {
			t.Errorf("%s gives %v", name, err)
		}
	}
	if _, err := f.Incident(t.Context(), admin, "a\x00b"); code(err) == "internal" {
		t.Errorf("an identifier with NUL gives %v", err)
	}
}
