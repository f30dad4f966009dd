package rotation

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pando-ca/pando/ca"
	"github.com/pando-ca/pando/store"
)

const (
	// JobRotate is the name of the job that ticks.
	JobRotate = "rotate"
	// LeaseName is the lease of the replica that rotates.
	LeaseName = "rotation"

	defaultLeaseTTL = time.Minute // several ticks: a leader that misses one leads on

	// countEvery is how often a tick looks whether the open incidents are over: to count takes
	// seconds where there are a million certificates.
	countEvery = time.Minute

	// maxSteps bounds one tick. A rotation that is behind by more goes on at the next one.
	maxSteps = 32
)

// Generations keeps the authorities; see [store.Generations].
type Generations interface {
	Generation(ctx context.Context) (*store.Generation, error)
	ReplaceGeneration(ctx context.Context, from uint64, next store.Generation, fence store.Fence, audits ...store.Audit) error
}

// Facts counts what is left; see [store.Acks].
type Facts interface {
	Facts(ctx context.Context, now time.Time) (*store.Facts, error)
}

// Store is what a rotation reads and writes.
type Store interface {
	Generations
	Facts
	store.Leases
	store.Incidents
}

// Observer is told of the steps that this replica has carried out.
type Observer interface {
	Rotated(step Step)
}

// RotatorConfig configures a [Rotator].
type RotatorConfig struct {
	Store  Store   // required
	Keys   Keys    // required
	Policy Policy  // required, valid
	URLs   ca.URLs // in the certificates of new intermediates and in cross-certificates
	Holder string  // required: names this process in the lease; no two processes share it

	LeaseTTL        time.Duration   // 0 means one minute; longer than the time between two ticks
	RootKey         ca.KeyAlgorithm // of new roots; empty means P-384
	IntermediateKey ca.KeyAlgorithm // of new intermediates; empty means P-256
	CRLShards       int             // of the CRLs of new intermediates; 0 means 1
	Observer        Observer        // may be nil
	Log             *slog.Logger    // none: discarded
}

// Rotator replaces authorities when they are due. It keeps nothing between two ticks but whether
// it leads: what there is to do is in the store. It is safe for concurrent use.
type Rotator struct {
	cfg   RotatorConfig
	maker maker

	ticking sync.Mutex // held by the one tick
	counted time.Time  // when it last counted who is left in the open incidents; owned by the tick

	mu     sync.Mutex // guards what follows
	lease  store.Lease
	status RotatorStatus
}

// RotatorStatus is what a replica knows of its own part in the rotation.
type RotatorStatus struct {
	Leader   bool      // as of LastTick
	Term     uint64    // of its lease, while it leads
	LastTick time.Time // that ended without an error; zero: none since the start
}

// NewRotator returns a Rotator. It does nothing by itself; see Tick.
func NewRotator(cfg RotatorConfig) (*Rotator, error) {
	switch {
	case cfg.Store == nil, cfg.Keys == nil:
		return nil, errors.New("rotator: store or keys are missing")
	case cfg.Holder == "":
		return nil, errors.New("rotator: holder is missing")
	case cfg.LeaseTTL < 0:
		return nil, fmt.Errorf("rotator: lease of %s is negative", cfg.LeaseTTL)
	}
	if err := cfg.Policy.Validate(); err != nil {
		return nil, fmt.Errorf("rotator: %w", err)
	}
	if err := cfg.URLs.Validate(); err != nil {
		return nil, fmt.Errorf("rotator: %w", err)
	}
	if err := cfg.URLs.ValidateShards(cfg.CRLShards); err != nil {
		return nil, fmt.Errorf("rotator: %w", err)
	}
	if cfg.LeaseTTL == 0 {
		cfg.LeaseTTL = defaultLeaseTTL
	}
	if cfg.RootKey == "" {
		cfg.RootKey = ca.ECDSAP384
	}
	if cfg.IntermediateKey == "" {
		cfg.IntermediateKey = ca.ECDSAP256
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Rotator{cfg: cfg, maker: maker{
		keys: cfg.Keys, policy: cfg.Policy, urls: cfg.URLs, rootKey: cfg.RootKey, intermediateKey: cfg.IntermediateKey, crlShards: cfg.CRLShards,
	}}, nil
}

// Tick carries out every step that is due at now, if this replica leads. Each step is one write
// that happens or does not: a process may die at any line, and the next tick, here or elsewhere,
// finds either the old generation or the new one. What another replica did first is no error.
// It is the work of [JobRotate].
func (r *Rotator) Tick(ctx context.Context, now time.Time) error {
	r.ticking.Lock()
	defer r.ticking.Unlock()
	lease, leads, err := r.lead(ctx)
	if err != nil {
		return fmt.Errorf("rotation: %w", err)
	}
	for range maxSteps {
		if !leads {
			break
		}
		step, err := r.step(ctx, lease, now)
		switch {
		case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrFenced):
			r.cfg.Log.WarnContext(ctx, "rotation step lost: another replica was first", "step", step.Kind, "authority", step.Authority, "error", err)
			leads = false
			continue
		case err != nil:
			return fmt.Errorf("rotation: %w", err)
		}
		if step == (Step{}) {
			break
		}
		r.done(ctx, step, auditActor)
	}
	r.ticked(lease, leads, now)
	return nil
}

// done tells of a step that was carried out.
func (r *Rotator) done(ctx context.Context, step Step, actor string) {
	r.cfg.Log.InfoContext(ctx, "rotation step done", "step", step.Kind, "authority", step.Authority,
		"incident", step.Incident, "reason", step.Reason, "actor", actor)
	if r.cfg.Observer != nil {
		r.cfg.Observer.Rotated(step)
	}
}

// step carries out the most urgent step that is due and can be done; the zero Step when there
// is none.
func (r *Rotator) step(ctx context.Context, lease store.Lease, now time.Time) (Step, error) {
	gen, counts, err := r.read(ctx, now)
	if errors.Is(err, store.ErrNotFound) {
		return Step{}, nil // only init makes a first generation
	}
	if err != nil {
		return Step{}, err
	}
	if len(gen.Incidents) > 0 && now.Sub(r.counted).Abs() >= countEvery {
		if counts.Incidents, err = r.left(ctx, gen.Incidents, now); err != nil {
			return Step{}, err
		}
		r.counted = now
	}
	steps, err := Plan(gen, r.cfg.Policy, counts, now)
	if err != nil {
		return Step{}, err
	}
	var failed []error
	for _, step := range steps {
		next, err := r.perform(gen, step, now)
		if err != nil { // a root whose key is elsewhere must not keep others from retiring
			failed = append(failed, fmt.Errorf("%s for authority %s: %w", step.Kind, step.Authority, err))
			continue
		}
		// This is the commit point. If we crash before, the keys that were made are gone with
		// the process; after it, there is nothing left to do.
		err = r.cfg.Store.ReplaceGeneration(ctx, gen.Number, *next, lease.Fence(), audits(gen, next, step, auditActor, now)...)
		if err != nil {
			err = fmt.Errorf("%s for authority %s: %w", step.Kind, step.Authority, err)
		}
		return step, err
	}
	return Step{}, errors.Join(failed...)
}

// perform makes what the step needs, and the generation that follows from it.
func (r *Rotator) perform(gen *store.Generation, step Step, now time.Time) (*store.Generation, error) {
	v, err := look(gen)
	if err != nil {
		return nil, err
	}
	made, err := r.maker.materials(v, step, now)
	if err != nil {
		return nil, err
	}
	return transition(gen, step, material{authorities: made}, now)
}

// read reads the generation, and then what is left under it: in this order, the counts know of
// every certificate that an authority signed before it stopped. Who depends on whom is counted
// by those who need it.
func (r *Rotator) read(ctx context.Context, now time.Time) (*store.Generation, *Counts, error) {
	gen, err := r.cfg.Store.Generation(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("read generation: %w", err)
	}
	facts, err := r.cfg.Store.Facts(ctx, r.cfg.Policy.FactsAt(now))
	if err != nil {
		return nil, nil, fmt.Errorf("read facts: %w", err)
	}
	return gen, &Counts{Facts: *facts}, nil
}

// left counts who is left in each of these incidents at now. The counts of closed ones are not
// looked for.
func (r *Rotator) left(ctx context.Context, incidents []store.Incident, now time.Time) (map[string]store.Dependents, error) {
	left := make(map[string]store.Dependents)
	for _, i := range incidents {
		if !i.ClosedAt.IsZero() {
			continue
		}
		found, err := r.cfg.Store.Dependents(ctx, store.DependentsFilter{
			Issuers: i.Issuers, IssuedBefore: i.IssuedBefore, Now: r.cfg.Policy.FactsAt(now), RenewedSince: now.Add(-recently),
		})
		if err != nil {
			return nil, fmt.Errorf("incident %s: %w", i.ID, err)
		}
		left[i.ID] = sum(found, i.Issuers)
	}
	return left, nil
}

// dependents counts who depends on any intermediate of a generation.
func (r *Rotator) dependents(ctx context.Context, gen *store.Generation, now time.Time) (map[string]store.Dependents, error) {
	var issuers []string
	for _, a := range gen.Authorities {
		if a.Role == string(ca.RoleIntermediate) && a.State != string(ca.StateRevoked) {
			issuers = append(issuers, a.ID)
		}
	}
	found, err := r.cfg.Store.Dependents(ctx, store.DependentsFilter{Issuers: issuers, Now: r.cfg.Policy.FactsAt(now)})
	if err != nil {
		return nil, fmt.Errorf("read dependents: %w", err)
	}
	return found, nil
}

// Gates reads the current generation, and what its authorities wait for at now. It wraps
// [store.ErrNotFound] before there is one. Any replica may ask.
func (r *Rotator) Gates(ctx context.Context, now time.Time) (*store.Generation, []Gate, error) {
	gen, counts, err := r.read(ctx, now)
	if err != nil {
		return nil, nil, fmt.Errorf("gates: %w", err)
	}
	tainted := func(a store.Authority) bool { return a.State == string(ca.StateTainted) }
	if slices.ContainsFunc(gen.Authorities, tainted) {
		if counts.Dependents, err = r.dependents(ctx, gen, now); err != nil {
			return nil, nil, fmt.Errorf("gates: %w", err)
		}
	}
	gates, err := Gates(gen, r.cfg.Policy, counts, now)
	return gen, gates, err
}
