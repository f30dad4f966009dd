package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
)

// SeeReplica notes that a replica runs; see [store.Replicas].
func (s *Store) SeeReplica(ctx context.Context, r store.Replica) error {
	if _, err := s.pool.Exec(ctx, replicaPutSQL, r.Name, r.Version, r.Schema, r.Skew.Microseconds()); err != nil {
		return s.classify("see replica", err)
	}
	_, err := s.pool.Exec(ctx, pruneReplicasSQL)
	return s.classify("forget replicas", err)
}

// ForgetReplica forgets one that stops; see [store.Replicas].
func (s *Store) ForgetReplica(ctx context.Context, name string) error {
	_, err := s.pool.Exec(ctx, replicaDeleteSQL, name)
	return s.classify("forget replica", err)
}

// Replicas lists those that run; see [store.Replicas].
func (s *Store) Replicas(ctx context.Context) ([]store.Replica, error) {
	all, err := list(ctx, s, func(row pgx.CollectableRow) (r store.Replica, err error) {
		var skew int64
		err = row.Scan(&r.Name, &r.Version, &r.Schema, &skew, &r.Age)
		r.Skew = time.Duration(skew) * time.Microsecond
		return r, err
	}, replicasSQL)
	return all, s.classify("list replicas", err)
}
