package sqlite

import (
	"context"
	"time"

	"github.com/pando-ca/pando/store"
)

// Acknowledge writes acknowledgements; see [store.Acks].
func (s *Store) Acknowledge(ctx context.Context, acks []store.Ack) error {
	if len(acks) == 0 {
		return nil
	}
	return s.write(ctx, "acknowledge", func(t *tx) error {
		for _, a := range store.LatestAcks(acks) {
			if _, err := t.exec(ctx, acknowledgeSQL, a.Serial[:], int64(a.Sequence), a.NotAfter.UnixMicro()); err != nil {
				return err
			}
			if _, err := t.exec(ctx, acknowledgeReplacedSQL, a.Serial[:]); err != nil {
				return err
			}
		}
		return nil
	})
}

// Facts counts; see [store.Acks]. It reads an index entry for each certificate that is live,
// and for each one that follows.
func (s *Store) Facts(ctx context.Context, now time.Time) (*store.Facts, error) {
	facts := &store.Facts{At: now, Issuers: make(map[string]store.IssuerFacts), Followers: make(map[uint64]int)}
	rows, err := s.reader.query(ctx, factsIssuersSQL, now.UnixMicro())
	_, err = collect("count certificates", rows, err, func(from row) (struct{}, error) {
		var issuer string
		var of store.IssuerFacts
		var notAfter int64
		err := from.Scan(&issuer, &of.Live, &of.Unexpired, &notAfter)
		of.NotAfter = timeOf(notAfter)
		facts.Issuers[issuer] = of
		return struct{}{}, err
	})
	if err != nil {
		return nil, err
	}
	rows, err = s.reader.query(ctx, factsFollowersSQL, now.UnixMicro())
	_, err = collect("count followers", rows, err, func(from row) (struct{}, error) {
		var sequence int64
		var followers int
		err := from.Scan(&sequence, &followers)
		facts.Followers[uint64(sequence)] = followers
		return struct{}{}, err
	})
	if err != nil {
		return nil, err
	}
	rows, err = s.reader.query(ctx, factsRestoredSQL)
	_, err = collect("read restore", rows, err, func(from row) (struct{}, error) {
		var at int64
		err := from.Scan(&at)
		facts.RestoredAt = timeOf(at)
		return struct{}{}, err
	})
	if err != nil {
		return nil, err
	}
	return facts, nil
}
