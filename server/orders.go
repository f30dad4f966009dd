package server

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/ca/policy"
)

// Orders takes steps of a rotation by hand.
type Orders interface {
	// Carry carries out an order, or, when dry, says what that would do. What is refused is an
	// *Error of [Refused]; an authority that there is not wraps store.ErrNotFound.
	Carry(ctx context.Context, order AuthorityOrder, dry bool, now time.Time) (*AuthorityOutcome, error)
}

// AuthorityAction is what an order wants.
type AuthorityAction string

// The actions.
const (
	ActionPrepare  AuthorityAction = "prepare"  // publish the next root
	ActionRotate   AuthorityAction = "rotate"   // replace the intermediate; of a root: prepare its successor
	ActionActivate AuthorityAction = "activate" // use a prepared root before its gate opens
	ActionTaint    AuthorityAction = "taint"    // take an authority out of use, and have what it signed replaced
	ActionRevoke   AuthorityAction = "revoke"   // have nobody trust an authority any more
	ActionReissue  AuthorityAction = "reissue"  // have certificates replaced
)

// AuthorityRole is what an authority is for, root or intermediate.
type AuthorityRole = ca.Role

// AuthorityOrder is a step that somebody wants now. Which fields an action needs is said in the
// documentation of the API.
type AuthorityOrder struct {
	Action    AuthorityAction
	Authority string
	Role      AuthorityRole
	Issuers   []string
	Actor     string // set by the service
	Reason    string
	Force     bool
	Rate      float64   // certificates per second; 0: chosen
	Deadline  time.Time // zero: chosen
	DryRun    bool
}

// AuthorityOutcome is what an order did, or would do.
type AuthorityOutcome struct {
	DryRun     bool
	Generation uint64
	Changes    []AuthorityChange
	Incident   *Incident // that was declared; nil: none
	CutOff     int       // live certificates that nobody has renewed and nobody accepts afterwards
	Followers  int       // of an activation: live certificates whose holders follow the bundle
	Behind     int       // of these, those that have not acknowledged it
	Objection  string    // why it is done with force only; empty: nothing stands against it
}

// AuthorityChange is what happened, or would happen, to one authority.
type AuthorityChange struct {
	Authority string // empty: one that is yet to be made
	Role      ca.Role
	From, To  ca.State // empty: it was not there before, or is gone afterwards
}

const (
	maxReason  = 1000 // octets
	maxIssuers = 100
)

// Order carries out an order, or says what it would do when it is a dry run. This replica follows
// before it answers, if it can.
func (s *Service) Order(ctx context.Context, caller policy.Caller, order AuthorityOrder) (*AuthorityOutcome, error) {
	op, known := operationOf(order.Action)
	if !known {
		return nil, invalid("there is no action %q", order.Action)
	}
	if err := s.authorize(ctx, caller, op); err != nil {
		return nil, err
	}
	if err := order.check(); err != nil {
		return nil, err
	}
	if s.orders == nil {
		return nil, notFound("authorities are not rotated here")
	}
	order.Actor = caller.Subject
	outcome, err := s.orders.Carry(ctx, order, order.DryRun, time.Now())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", order.Action, err)
	}
	outcome.DryRun = order.DryRun
	if current := s.Set().Generation(); !order.DryRun && current < outcome.Generation {
		if err := s.catchUp(ctx, current); err != nil {
			s.log.WarnContext(ctx, "the generation that was ordered is not followed yet", "generation", outcome.Generation, "error", err)
		}
	}
	return outcome, nil
}

// operationOf is the operation that an action is.
func operationOf(action AuthorityAction) (Operation, bool) {
	switch action {
	case ActionPrepare:
		return OpPrepareAuthority, true
	case ActionRotate:
		return OpRotateAuthority, true
	case ActionActivate:
		return OpActivateAuthority, true
	case ActionTaint:
		return OpTaintAuthority, true
	case ActionRevoke:
		return OpRevokeAuthority, true
	case ActionReissue:
		return OpCreateIncident, true
	}
	return "", false
}

// check refuses what no order can mean. A reason goes to the log and to people: it is one line.
func (o *AuthorityOrder) check() error {
	switch {
	case o.Action == ActionRotate && o.Role != ca.RoleRoot && o.Role != ca.RoleIntermediate:
		return invalid("role: want root or intermediate")
	case len(o.Reason) > maxReason:
		return invalid("reason: %d octets, at most %d", len(o.Reason), maxReason)
	case !utf8.ValidString(o.Reason) || strings.ContainsFunc(o.Reason, unicode.IsControl):
		return invalid("reason: want one line of text")
	case len(o.Issuers) > maxIssuers:
		return invalid("issuers: %d, at most %d", len(o.Issuers), maxIssuers)
	case math.IsNaN(o.Rate) || math.IsInf(o.Rate, 0) || o.Rate < 0:
		return invalid("rate: want a positive number of certificates per second")
	}
	needsReason := o.Action == ActionTaint || o.Action == ActionRevoke || o.Action == ActionReissue
	if needsReason && strings.TrimSpace(o.Reason) == "" {
		return invalid("reason: %s needs one", o.Action)
	}
	return nil
}

// Refused is the failure of an order that is not carried out, with code needs_force when it would
// be with force.
func Refused(message string, force bool) *Error {
	code := "refused"
	if force {
		code = "needs_force"
	}
	return &Error{Kind: KindRefused, Code: code, Message: message}
}
