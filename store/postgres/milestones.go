package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
)

// Reach notes milestones; see [store.Milestones].
func (s *Store) Reach(ctx context.Context, audit store.Audit, names ...string) error {
	return s.change(ctx, "reach milestone", audit, func(tx pgx.Tx) (bool, error) {
		for _, name := range names {
			if _, err := tx.Exec(ctx, milestoneReachSQL, name, 0); err != nil {
				return false, err
			}
		}
		return true, nil
	})
}

// Milestone tells how long ago it was reached; see [store.Milestones].
func (s *Store) Milestone(ctx context.Context, name string) (age time.Duration, err error) {
	err = s.pool.QueryRow(ctx, milestoneSQL, name).Scan(&age)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("read milestone: %w", store.ErrNotFound)
	}
	return age, s.classify("read milestone", err)
}
