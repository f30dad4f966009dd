package rotation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/store"
)

// maxTries bounds how often an order is judged anew because another replica changed the generation
// meanwhile. Changes are minutes apart, tries are not.
const maxTries = 5

// Carry carries out an order, or, when dry, says what that would do: exactly the same, but that
// nothing is made or written, and that an objection is told and not refused. Like each step it is
// one write. It needs no lease: the number of the generation decides, against a tick, too. Any
// replica may be asked.
//
// It returns a *[Refusal] when the order is not carried out, wraps [store.ErrNotFound] for an
// authority that there is not, and [store.ErrUnavailable] when the outcome of the write is not
// known: then look before you order again.
func (r *Rotator) Carry(ctx context.Context, o Order, dry bool, now time.Time) (*Outcome, error) {
	for try := 1; ; try++ {
		outcome, err := r.carry(ctx, o, dry, now)
		if err == nil || try == maxTries || !errors.Is(err, store.ErrConflict) {
			return outcome, err
		}
	}
}

func (r *Rotator) carry(ctx context.Context, o Order, dry bool, now time.Time) (*Outcome, error) {
	gen, counts, err := r.read(ctx, now)
	if err != nil {
		return nil, err
	}
	if counts.Dependents, err = r.dependents(ctx, gen, now); err != nil {
		return nil, err
	}
	v, err := look(gen)
	if err != nil {
		return nil, fmt.Errorf("generation %d: %w", gen.Number, err)
	}
	d, err := v.decide(o, r.cfg.Policy, counts, now)
	switch {
	case err != nil:
		return nil, err
	case d.outcome.Objection != "" && !o.Force && !dry:
		return nil, &Refusal{Message: d.outcome.Objection, Force: true}
	}
	made := material{authorities: v.needs(d.step).outlines(), incident: d.outcome.Incident}
	if !dry {
		if made.authorities, err = r.maker.materials(v, d.step, now); err != nil {
			return nil, fmt.Errorf("%s: %w", d.step.Kind, err)
		}
	}
	next, err := transition(gen, d.step, made, now)
	if err != nil {
		return nil, err
	}
	d.outcome.Generation, d.outcome.Changes = next.Number, changes(gen, next)
	if dry {
		return &d.outcome, nil
	}
	// This is the commit point, as in step.
	if err := r.cfg.Store.ReplaceGeneration(ctx, gen.Number, *next, store.Fence{}, audits(gen, next, d.step, o.Actor, now)...); err != nil {
		return nil, fmt.Errorf("%s: %w", d.step.Kind, err)
	}
	r.done(ctx, d.step, o.Actor)
	return &d.outcome, nil
}

// Incidents tells of the latest incidents, the newest first, at most limit of them.
func (r *Rotator) Incidents(ctx context.Context, limit int, now time.Time) ([]Progress, error) {
	all, err := r.cfg.Store.Incidents(ctx, limit)
	if err != nil {
		return nil, err
	}
	left, err := r.left(ctx, all, now)
	if err != nil {
		return nil, err
	}
	progress := make([]Progress, len(all))
	for i := range all {
		progress[i] = progressOf(all[i], left[all[i].ID], now)
	}
	return progress, nil
}

// Incident tells of one incident; it wraps [store.ErrNotFound].
func (r *Rotator) Incident(ctx context.Context, id string, now time.Time) (*Progress, error) {
	i, err := r.cfg.Store.Incident(ctx, id)
	if err != nil {
		return nil, err
	}
	left, err := r.left(ctx, []store.Incident{*i}, now)
	if err != nil {
		return nil, err
	}
	p := progressOf(*i, left[i.ID], now)
	return &p, nil
}
