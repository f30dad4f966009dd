package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// list runs a query with optional filters, planned for its arguments, in one round trip.
func list[T any](ctx context.Context, s *Store, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	var batch pgx.Batch
	batch.Queue(listPlanSQL)
	batch.Queue(sql, args...)
	results := s.pool.SendBatch(ctx, &batch)
	all, err := listed(results, scan)
	return all, errors.Join(err, results.Close())
}

func listed[T any](results pgx.BatchResults, scan pgx.RowToFunc[T]) ([]T, error) {
	if _, err := results.Exec(); err != nil { // the setting
		return nil, err
	}
	rows, err := results.Query()
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}
