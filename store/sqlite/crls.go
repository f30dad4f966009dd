package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pando-ca/pando/store"
)

// CRLs lists what is published; see [store.CRLs].
func (s *Store) CRLs(ctx context.Context) ([]store.CRL, error) {
	rows, err := s.reader.query(ctx, crlsSQL)
	return collect("list CRLs", rows, err, func(from row) (store.CRL, error) {
		var c store.CRL
		var number, thisUpdate, nextUpdate, covers int64
		err := from.Scan(&c.Authority, &c.Shard, &c.Shards, &number, &thisUpdate, &nextUpdate, &c.Entries, &covers, &c.Changed)
		c.Number, c.Covers = uint64(number), uint64(covers)
		c.ThisUpdate, c.NextUpdate = timeOf(thisUpdate), timeOf(nextUpdate)
		return c, err
	})
}

// CRL reads one list; see [store.CRLs].
func (s *Store) CRL(ctx context.Context, authority string, shard int) (*store.CRL, error) {
	c := store.CRL{Authority: authority, Shard: shard}
	var number, thisUpdate, nextUpdate, covers int64
	err := s.reader.queryRow(ctx, crlSQL, authority, shard).
		Scan(&c.Shards, &number, &thisUpdate, &nextUpdate, &c.Entries, &covers, &c.DER)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("read CRL: %w", store.ErrNotFound)
	}
	if err != nil {
		return nil, classify("read CRL", err)
	}
	c.Number, c.Covers = uint64(number), uint64(covers)
	c.ThisUpdate, c.NextUpdate = timeOf(thisUpdate), timeOf(nextUpdate)
	return &c, nil
}

// CRLNumber reads the number of one list; see [store.CRLs].
func (s *Store) CRLNumber(ctx context.Context, authority string, shard int) (uint64, error) {
	var number int64
	if err := s.reader.queryRow(ctx, crlNumberSQL, authority, shard).Scan(&number); err != nil {
		return 0, classify("read CRL number", err)
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
		next.Authority, next.Shard, next.Shards, int64(next.Number), next.ThisUpdate.UnixMicro(), next.NextUpdate.UnixMicro(),
		next.Entries, int64(next.Covers), octets(next.DER), int64(from),
	}
	if from == 0 {
		swap, args = crlFirstSQL, args[:len(args)-1]
	}
	return s.write(ctx, "replace CRL", func(t *tx) error {
		if err := t.checkFence(ctx, fence); err != nil {
			return err
		}
		rows, err := t.exec(ctx, swap, args...)
		if err == nil && rows == 0 {
			err = store.ErrConflict
		}
		return err
	})
}

// EachRevoked reads the revocations of a shard; see [store.Revoked].
func (s *Store) EachRevoked(ctx context.Context, q store.ShardQuery, each func(store.Revocation)) error {
	rows, err := s.reader.query(ctx, crlEntriesSQL, q.Authority, q.Shard, q.Shards)
	if err != nil {
		return classify("read revocations", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r store.Revocation
		var serial sql.RawBytes
		var notAfter, revokedAt, number int64
		if err := rows.Scan(&serial, &r.Issuer, &notAfter, &revokedAt, &r.Reason, &number); err != nil {
			return classify("read revocations", err)
		}
		copy(r.Serial[:], serial)
		r.NotAfter, r.RevokedAt = timeOf(notAfter), timeOf(revokedAt)
		r.Seq = uint64(number)
		each(r)
	}
	return classify("read revocations", rows.Err())
}
