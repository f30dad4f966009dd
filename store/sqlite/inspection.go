package sqlite

import (
	"context"
	"time"

	"github.com/pando-ca/pando/store"
)

// SchemaVersion is the version of the database; see [store.Inspection].
func (s *Store) SchemaVersion(ctx context.Context) (version int64, err error) {
	err = s.reader.queryRow(ctx, schemaVersionSQL).Scan(&version)
	return version, classify("read schema version", err)
}

// PartitionsUntil is zero: one table holds all certificates. See [store.Inspection].
func (s *Store) PartitionsUntil(context.Context, time.Time) (time.Time, error) {
	return time.Time{}, nil
}

// LeaseStates lists the leases; see [store.Inspection].
func (s *Store) LeaseStates(ctx context.Context) ([]store.LeaseState, error) {
	rows, err := s.reader.query(ctx, leaseStatesSQL)
	return collect("list leases", rows, err, func(from row) (l store.LeaseState, err error) {
		var term, expires int64
		err = from.Scan(&l.Name, &l.Holder, &term, &expires)
		l.Term, l.ExpiresAt = uint64(term), timeOf(expires)
		l.Left = time.Until(l.ExpiresAt)
		return l, err
	})
}

// EntryUses tells which entries are in use; see [store.Inspection].
func (s *Store) EntryUses(ctx context.Context, f store.EntryUseFilter) ([]store.EntryUse, error) {
	rows, err := s.reader.query(ctx, entryUsesSQL, f.CreatedBefore.UnixMicro(), f.EndsAfter.UnixMicro(), f.Limit)
	return collect("look at the use of entries", rows, err, func(from row) (u store.EntryUse, err error) {
		err = from.Scan(&u.ID, &u.SPIFFEID, &u.Used)
		return u, err
	})
}
