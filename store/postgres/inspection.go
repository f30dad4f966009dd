package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pando-ca/pando/store"
)

// SchemaVersion is the version of the database; see [store.Inspection].
func (s *Store) SchemaVersion(ctx context.Context) (version int64, err error) {
	err = s.pool.QueryRow(ctx, schemaVersionSQL).Scan(&version)
	return version, s.classify("read schema version", err)
}

// PartitionsUntil is how far ahead partitions were made; see [store.Inspection].
func (s *Store) PartitionsUntil(ctx context.Context, now time.Time) (time.Time, error) {
	var have []partition
	err := s.pool.AcquireFunc(ctx, func(c *pgxpool.Conn) (err error) {
		have, err = listPartitions(ctx, c.Conn())
		return err
	})
	if err != nil {
		return time.Time{}, s.classify("look at partitions", err)
	}
	attached := make(map[string]bool, len(have))
	for _, p := range have {
		attached[p.Name] = p.State == "attached"
	}
	day := dayOf(now)
	for attached[partitionName(day)] {
		day++
	}
	until, _ := dayBounds(day)
	return until, nil
}

// LeaseStates lists the leases; see [store.Inspection].
func (s *Store) LeaseStates(ctx context.Context) ([]store.LeaseState, error) {
	all, err := list(ctx, s, func(row pgx.CollectableRow) (l store.LeaseState, err error) {
		var term int64
		err = row.Scan(&l.Name, &l.Holder, &term, &l.ExpiresAt, &l.Left)
		l.Term, l.ExpiresAt = uint64(term), l.ExpiresAt.UTC()
		return l, err
	}, leaseStatesSQL)
	return all, s.classify("list leases", err)
}

// EntryUses tells which entries are in use; see [store.Inspection].
func (s *Store) EntryUses(ctx context.Context, f store.EntryUseFilter) ([]store.EntryUse, error) {
	all, err := list(ctx, s, func(row pgx.CollectableRow) (u store.EntryUse, err error) {
		err = row.Scan(&u.ID, &u.SPIFFEID, &u.Used)
		return u, err
	}, entryUsesSQL, f.CreatedBefore, f.EndsAfter, f.Limit)
	return all, s.classify("look at the use of entries", err)
}
