package sqlite

import (
	"context"
	"encoding/json"
	"math"

	"github.com/pando-ca/pando/store"
)

// Audits lists audit rows; see [store.Audits].
func (s *Store) Audits(ctx context.Context, before int64, limit int) ([]store.Audit, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	rows, err := s.reader.query(ctx, auditsSQL, before, limit)
	return collect("list audit rows", rows, err, func(from row) (store.Audit, error) {
		var a store.Audit
		var at int64
		var detail []byte
		if err := from.Scan(&a.Seq, &at, &a.Actor, &a.Action, &a.Target, &detail); err != nil {
			return a, err
		}
		a.At = timeOf(at)
		if err := json.Unmarshal(detail, &a.Detail); err != nil {
			return a, err
		}
		if len(a.Detail) == 0 {
			a.Detail = nil
		}
		return a, nil
	})
}
