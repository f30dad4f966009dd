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

// Milestone tells when it was reached; see [store.Milestones].
func (s *Store) Milestone(ctx context.Context, name string) (at time.Time, age time.Duration, err error) {
	err = s.pool.QueryRow(ctx, milestoneSQL, name).Scan(&at, &age)
	if errors.Is(err, pgx.ErrNoRows) {
		return at, 0, fmt.Errorf("read milestone: %w", store.ErrNotFound)
	}
	return at.UTC(), age, s.classify("read milestone", err)
}
