package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
)

// CRLs lists what is published; see [store.CRLs].
func (s *Store) CRLs(ctx context.Context) ([]store.CRL, error) {
	rows, err := s.pool.Query(ctx, crlsSQL)
	if err != nil {
		return nil, s.classify("list CRLs", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.CRL, error) {
		var c store.CRL
		var number, covers int64
		err := row.Scan(&c.Authority, &c.Shard, &c.Shards, &number, &c.ThisUpdate, &c.NextUpdate, &c.Entries, &covers, &c.Changed)
		c.Number, c.Covers = uint64(number), uint64(covers)
		c.ThisUpdate, c.NextUpdate = c.ThisUpdate.UTC(), c.NextUpdate.UTC()
		return c, err
	})
	return all, s.classify("list CRLs", err)
}

// CRL reads one list; see [store.CRLs].
func (s *Store) CRL(ctx context.Context, authority string, shard int) (*store.CRL, error) {
	c := store.CRL{Authority: authority, Shard: shard}
	var number, covers int64
	err := s.pool.QueryRow(ctx, crlSQL, authority, shard).
		Scan(&c.Shards, &number, &c.ThisUpdate, &c.NextUpdate, &c.Entries, &covers, &c.DER)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("read CRL: %w", store.ErrNotFound)
	}
	if err != nil {
		return nil, s.classify("read CRL", err)
	}
	c.Number, c.Covers = uint64(number), uint64(covers)
	c.ThisUpdate, c.NextUpdate = c.ThisUpdate.UTC(), c.NextUpdate.UTC()
	return &c, nil
}

// CRLNumber reads the number of one list; see [store.CRLs].
func (s *Store) CRLNumber(ctx context.Context, authority string, shard int) (uint64, error) {
	var number int64
	if err := s.pool.QueryRow(ctx, crlNumberSQL, authority, shard).Scan(&number); err != nil {
		return 0, s.classify("read CRL number", err)
	}
	return uint64(number), nil
}

// ReplaceCRL publishes a list; see [store.CRLs].
func (s *Store) ReplaceCRL(ctx context.Context, from uint64, next store.CRL, fence store.Fence) error {
	if next.Number <= from {
		return fmt.Errorf("replace CRL %d by %d: %w", from, next.Number, store.ErrInvalid)
	}
	swap := crlNextSQL
	args := []any{
		next.Authority, next.Shard, next.Shards, int64(next.Number), next.ThisUpdate, next.NextUpdate,
		next.Entries, int64(next.Covers), octets(next.DER), int64(from),
	}
	if from == 0 {
		swap, args = crlFirstSQL, args[:len(args)-1]
	}
	return s.transact(ctx, "replace CRL", func(tx pgx.Tx) error {
		if err := checkFence(ctx, tx, fence); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, swap, args...)
		if err == nil && tag.RowsAffected() == 0 {
			err = store.ErrConflict
		}
		return err
	})
}

// EachRevoked reads the revocations of a shard; see [store.Revoked].
func (s *Store) EachRevoked(ctx context.Context, q store.ShardQuery, each func(store.Revocation)) error {
	rows, err := s.pool.Query(ctx, crlEntriesSQL, q.Authority, q.Shard, q.Shards)
	if err != nil {
		return s.classify("read revocations", err)
	}
	var (
		serial              []byte
		issuer              string
		notAfter, revokedAt time.Time
		reason              int
		number              int64
	)
	_, err = pgx.ForEachRow(rows, []any{&serial, &issuer, &notAfter, &revokedAt, &reason, &number}, func() error {
		r := store.Revocation{Issuer: issuer, NotAfter: notAfter.UTC(), RevokedAt: revokedAt.UTC(), Reason: reason}
		copy(r.Serial[:], serial)
		r.Seq = uint64(number)
		each(r)
		return nil
	})
	return s.classify("read revocations", err)
}
