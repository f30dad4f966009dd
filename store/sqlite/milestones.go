package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/store"
)

// Reach notes milestones; see [store.Milestones].
func (s *Store) Reach(ctx context.Context, audit store.Audit, names ...string) error {
	return s.change(ctx, "reach milestone", audit, func(t *tx) (bool, error) {
		for _, name := range names {
			if _, err := t.exec(ctx, milestoneReachSQL, name, time.Now().UnixMicro()); err != nil {
				return false, err
			}
		}
		return true, nil
	})
}

// Milestone tells how long ago it was reached; see [store.Milestones].
func (s *Store) Milestone(ctx context.Context, name string) (age time.Duration, err error) {
	var at int64
	err = s.reader.queryRow(ctx, milestoneSQL, name).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("read milestone: %w", store.ErrNotFound)
	}
	return time.Since(timeOf(at)), classify("read milestone", err)
}
