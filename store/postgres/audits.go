package postgres

import (
	"context"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
)

// Audits lists audit rows; see [store.Audits].
func (s *Store) Audits(ctx context.Context, before int64, limit int) ([]store.Audit, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	rows, err := s.pool.Query(ctx, auditsSQL, before, limit)
	if err != nil {
		return nil, s.classify("list audit rows", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Audit, error) {
		var a store.Audit
		err := row.Scan(&a.Seq, &a.At, &a.Actor, &a.Action, &a.Target, &a.Detail)
		a.At = a.At.UTC()
		if len(a.Detail) == 0 {
			a.Detail = nil
		}
		return a, err
	})
	return list, s.classify("list audit rows", err)
}
