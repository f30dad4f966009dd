package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/store"
)

// AcquireLease takes or prolongs a lease; see [store.Leases]. The clock of the database is
// that of this process: there is no other one.
func (s *Store) AcquireLease(ctx context.Context, name, holder string, ttl time.Duration) (store.Lease, error) {
	if ttl <= 0 {
		return store.Lease{}, fmt.Errorf("acquire lease for %v: %w", ttl, store.ErrInvalid)
	}
	l := store.Lease{Name: name, Holder: holder}
	err := s.write(ctx, "acquire lease", func(t *tx) error {
		now := time.Now() // once this transaction has its turn
		var term, expires int64
		err := t.queryRow(ctx, leaseAcquireSQL, name, holder, now.UnixMicro(), now.Add(ttl).UnixMicro()).Scan(&term, &expires)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("another holder has it: %w", store.ErrConflict)
		}
		l.Term, l.ExpiresAt = uint64(term), timeOf(expires)
		return err
	})
	if err != nil {
		return store.Lease{}, err
	}
	return l, nil
}

// ReleaseLease frees a lease; see [store.Leases].
func (s *Store) ReleaseLease(ctx context.Context, lease store.Lease) error {
	return s.write(ctx, "release lease", func(t *tx) error {
		_, err := t.exec(ctx, leaseReleaseSQL, lease.Name, lease.Holder, int64(lease.Term))
		return err
	})
}

// checkFence returns store.ErrFenced unless the fence holds. The lease cannot change hands
// while this transaction writes.
func (t *tx) checkFence(ctx context.Context, fence store.Fence) error {
	if fence == (store.Fence{}) {
		return nil
	}
	var term int64
	err := t.queryRow(ctx, fenceSQL, fence.Lease, int64(fence.Term)).Scan(&term)
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrFenced
	}
	return err
}
