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

// Milestone tells when it was reached; see [store.Milestones].
func (s *Store) Milestone(ctx context.Context, name string) (at time.Time, age time.Duration, err error) {
	var micros int64
	err = s.reader.queryRow(ctx, milestoneSQL, name).Scan(&micros)
	if errors.Is(err, sql.ErrNoRows) {
		return at, 0, fmt.Errorf("read milestone: %w", store.ErrNotFound)
	}
	at = timeOf(micros)
	return at, time.Since(at), classify("read milestone", err)
}
