package rotation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/store"
)

// lead takes or prolongs the lease. That another replica has it is no error. A replica that was
// stopped after this and is woken up late does no harm: its writes carry the term.
func (r *Rotator) lead(ctx context.Context) (lease store.Lease, leads bool, err error) {
	lease, err = r.cfg.Store.AcquireLease(ctx, LeaseName, r.cfg.Holder, r.cfg.LeaseTTL)
	if errors.Is(err, store.ErrConflict) {
		return store.Lease{}, false, nil
	}
	if err != nil {
		return store.Lease{}, false, fmt.Errorf("acquire lease: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lease = lease
	return lease, true, nil
}

// ticked notes a tick that ended without an error.
func (r *Rotator) ticked(lease store.Lease, leads bool, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = RotatorStatus{Leader: leads, LastTick: now}
	if leads {
		r.status.Term = lease.Term
	}
}

// Status tells what this replica knows of its part.
func (r *Rotator) Status() RotatorStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
}

// Release gives the lease up, so that another replica need not wait until it has run out. It is
// for a process that ends, after its last tick; without a lease it does nothing.
func (r *Rotator) Release(ctx context.Context) error {
	r.ticking.Lock()
	defer r.ticking.Unlock()
	r.mu.Lock()
	lease := r.lease
	r.lease, r.status.Leader, r.status.Term = store.Lease{}, false, 0
	r.mu.Unlock()
	if lease.Holder == "" {
		return nil
	}
	if err := r.cfg.Store.ReleaseLease(ctx, lease); err != nil {
		return fmt.Errorf("release lease: %w", err)
	}
	return nil
}
