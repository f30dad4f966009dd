package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
)

// Acknowledge writes acknowledgements; see [store.Acks]. Like an insertion it shares the lock
// that a revocation takes for itself: an acknowledgement is written before the revocation,
// which drops it, or sees the revocation.
func (s *Store) Acknowledge(ctx context.Context, acks []store.Ack) error {
	if len(acks) == 0 {
		return nil
	}
	latest := store.LatestAcks(acks)
	n := len(latest)
	serials, sequences := make([][]byte, n), make([]int64, n)
	notAfter, days := make([]time.Time, n), make([]time.Time, n)
	for at, a := range latest {
		serials[at], sequences[at], notAfter[at] = a.Serial[:], int64(a.Sequence), a.NotAfter
		days[at], _ = dayBounds(a.Serial.Day())
	}
	var batch pgx.Batch
	batch.Queue(lockSharedSQL)
	batch.Queue(acknowledgeSQL, serials, sequences, notAfter, days)
	return s.classify("acknowledge", s.pool.SendBatch(ctx, &batch).Close())
}

// Facts counts; see [store.Acks]. It reads an index entry for each certificate that is live
// and a row for each one that follows: a few tenths of a second for a million of both, which
// is nothing for a tick every ten seconds, and too much for a request.
func (s *Store) Facts(ctx context.Context, now time.Time) (*store.Facts, error) {
	day, _ := dayBounds(dayOf(now))
	var batch pgx.Batch
	batch.Queue(listPlanSQL)
	batch.Queue(factsIssuersSQL, now, day)
	batch.Queue(factsFollowersSQL, now)
	batch.Queue(factsRestoredSQL)
	results := s.pool.SendBatch(ctx, &batch)
	facts, err := readFacts(results)
	if err := errors.Join(err, results.Close()); err != nil {
		return nil, s.classify("count", err)
	}
	facts.At = now
	return facts, nil
}

func readFacts(results pgx.BatchResults) (*store.Facts, error) {
	facts := &store.Facts{Issuers: make(map[string]store.IssuerFacts), Followers: make(map[uint64]int)}
	if _, err := results.Exec(); err != nil { // the setting
		return nil, err
	}
	rows, err := results.Query()
	if err != nil {
		return nil, err
	}
	var issuer string
	var of store.IssuerFacts
	_, err = pgx.ForEachRow(rows, []any{&issuer, &of.Live, &of.Unexpired, &of.NotAfter}, func() error {
		of.NotAfter = of.NotAfter.UTC()
		facts.Issuers[issuer] = of
		return nil
	})
	if err != nil {
		return nil, err
	}
	if rows, err = results.Query(); err != nil {
		return nil, err
	}
	var sequence int64
	var followers int
	_, err = pgx.ForEachRow(rows, []any{&sequence, &followers}, func() error {
		facts.Followers[uint64(sequence)] = followers
		return nil
	})
	if err != nil {
		return nil, err
	}
	if rows, err = results.Query(); err != nil {
		return nil, err
	}
	_, err = pgx.ForEachRow(rows, []any{&facts.RestoredAt}, func() error {
		facts.RestoredAt = facts.RestoredAt.UTC()
		return nil
	})
	return facts, err
}
