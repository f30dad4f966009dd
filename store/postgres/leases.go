package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
)

// AcquireLease takes or prolongs a lease, by the clock of the server; see [store.Leases].
func (s *Store) AcquireLease(ctx context.Context, name, holder string, ttl time.Duration) (store.Lease, error) {
	if ttl <= 0 {
		return store.Lease{}, fmt.Errorf("acquire lease for %v: %w", ttl, store.ErrInvalid)
	}
	l := store.Lease{Name: name, Holder: holder}
	var term int64
	err := s.pool.QueryRow(ctx, leaseAcquireSQL, name, holder, ttl.Microseconds()).Scan(&term, &l.ExpiresAt)
	if errors.Is(err, pgx.ErrNoRows) {
		return store.Lease{}, fmt.Errorf("acquire lease: another holder has it: %w", store.ErrConflict)
	}
	if err != nil {
		return store.Lease{}, s.classify("acquire lease", err)
	}
	l.Term, l.ExpiresAt = uint64(term), l.ExpiresAt.UTC()
	return l, nil
}

// ReleaseLease frees a lease; see [store.Leases].
func (s *Store) ReleaseLease(ctx context.Context, lease store.Lease) error {
	_, err := s.pool.Exec(ctx, leaseReleaseSQL, lease.Name, lease.Holder, int64(lease.Term))
	return s.classify("release lease", err)
}

// checkFence returns store.ErrFenced unless the fence holds, and then keeps the lease from
// changing hands until tx has ended.
func checkFence(ctx context.Context, tx pgx.Tx, fence store.Fence) error {
	if fence == (store.Fence{}) {
		return nil
	}
	var term int64
	err := tx.QueryRow(ctx, fenceSQL, fence.Lease, int64(fence.Term)).Scan(&term)
	if errors.Is(err, pgx.ErrNoRows) {
		return store.ErrFenced
	}
	return err
}
