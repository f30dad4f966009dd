package rotation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pando-ca/pando/store"
)

// Names of the jobs that one replica does for all. Each is the name of its lease too.
const (
	JobPreRenew = "pre-renew" // renews the certificates of holders who only download
	JobFigures  = "figures"   // counts the fleet
)

// LeasedConfig is a job that one replica does for all. All fields are required.
type LeasedConfig struct {
	Name     string // of the job and of its lease
	Schedule string // as in [Job]
	Leases   store.Leases
	Holder   string        // names this process in the lease; no two processes share it
	TTL      time.Duration // for how long the lease is taken, at least; twice the period of the schedule if that is more

	// Do does the work that is due at now, until ctx ends, which it does when the lease is lost.
	// A write that must be the leader's carries the fence.
	Do func(ctx context.Context, fence store.Fence, now time.Time) error
}

// Leased is a job that one replica does for all: the one that has its lease, which it keeps from
// one run to the next. On the others a run does nothing, and succeeds. It is safe for concurrent
// use.
type Leased struct {
	cfg LeasedConfig

	mu    sync.Mutex
	lease store.Lease // the last that was had; zero: none
}

// NewLeased returns a Leased, which holds no lease yet.
func NewLeased(cfg LeasedConfig) (*Leased, error) {
	if cfg.Name == "" || cfg.Leases == nil || cfg.Holder == "" || cfg.TTL <= 0 || cfg.Do == nil {
		return nil, fmt.Errorf("job %q under a lease: the configuration lacks a name, leases, a holder, a TTL or work", cfg.Name)
	}
	s, err := parseSchedule(cfg.Schedule)
	if err != nil {
		return nil, fmt.Errorf("job %q: schedule %q: %w", cfg.Name, cfg.Schedule, err)
	}
	cfg.TTL = max(cfg.TTL, 2*s.period)
	return &Leased{cfg: cfg}, nil
}

// leasedTimeout bounds one run. The lease is prolonged meanwhile, and what a run leaves undone
// the next one does, so that only a run that hangs comes to this.
const leasedTimeout = time.Hour

// Job is the job, for a [Scheduler].
func (l *Leased) Job() Job {
	return Job{Name: l.cfg.Name, Schedule: l.cfg.Schedule, Timeout: leasedTimeout, Do: l.run}
}

// run does the work if this replica has the lease, or gets it.
func (l *Leased) run(ctx context.Context, now time.Time) error {
	lease, err := l.acquire(ctx)
	if errors.Is(err, store.ErrConflict) {
		return nil // another replica does it
	}
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	var keeping sync.WaitGroup
	keeping.Go(func() { l.keep(ctx, lease, stop) })
	err = l.cfg.Do(ctx, lease.Fence(), now)
	if lost := context.Cause(ctx); err != nil && lost != nil {
		err = fmt.Errorf("%w: %w", lost, err)
	}
	stop(nil)
	keeping.Wait()
	return err
}

func (l *Leased) acquire(ctx context.Context) (store.Lease, error) {
	lease, err := l.cfg.Leases.AcquireLease(ctx, l.cfg.Name, l.cfg.Holder, l.cfg.TTL)
	if err != nil {
		return lease, fmt.Errorf("acquire lease: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lease = lease
	return lease, nil
}

// keep prolongs the lease until ctx ends, and ends ctx when the lease has another term or may
// have been lost.
func (l *Leased) keep(ctx context.Context, lease store.Lease, stop context.CancelCauseFunc) {
	ticker := time.NewTicker(l.cfg.TTL / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		again, err := l.acquire(ctx)
		if err == nil && again.Term != lease.Term {
			err = store.ErrFenced
		}
		if err != nil {
			stop(err)
			return
		}
	}
}

// Release gives the lease up, so that another replica need not wait until it has run out. It is
// for a process that ends, after the last run; without a lease it does nothing.
func (l *Leased) Release(ctx context.Context) error {
	l.mu.Lock()
	lease := l.lease
	l.lease = store.Lease{}
	l.mu.Unlock()
	if lease.Holder == "" {
		return nil
	}
	if err := l.cfg.Leases.ReleaseLease(ctx, lease); err != nil {
		return fmt.Errorf("release lease of job %q: %w", l.cfg.Name, err)
	}
	return nil
}
