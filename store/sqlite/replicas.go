package sqlite

import (
	"context"
	"time"

	"github.com/pando-ca/pando/store"
)

// SeeReplica notes that a replica runs; see [store.Replicas].
func (s *Store) SeeReplica(ctx context.Context, r store.Replica) error {
	return s.write(ctx, "see replica", func(t *tx) error {
		now := time.Now()
		if _, err := t.exec(ctx, replicaPutSQL, r.Name, r.Version, r.Schema, r.Skew.Microseconds(), now.UnixMicro()); err != nil {
			return err
		}
		_, err := t.exec(ctx, pruneReplicasSQL, now.Add(-time.Hour).UnixMicro())
		return err
	})
}

// ForgetReplica forgets one that stops; see [store.Replicas].
func (s *Store) ForgetReplica(ctx context.Context, name string) error {
	return s.write(ctx, "forget replica", func(t *tx) error {
		_, err := t.exec(ctx, replicaDeleteSQL, name)
		return err
	})
}

// Replicas lists those that run; see [store.Replicas].
func (s *Store) Replicas(ctx context.Context) ([]store.Replica, error) {
	rows, err := s.reader.query(ctx, replicasSQL)
	return collect("list replicas", rows, err, func(from row) (r store.Replica, err error) {
		var skew, seen int64
		err = from.Scan(&r.Name, &r.Version, &r.Schema, &skew, &seen)
		r.Skew, r.Age = time.Duration(skew)*time.Microsecond, time.Since(timeOf(seen))
		return r, err
	})
}
