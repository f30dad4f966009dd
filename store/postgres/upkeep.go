package postgres

import (
	"context"
	"time"

	"github.com/pando-ca/pando/store"
)

const (
	// daysAhead bounds what Prepare makes; see the package comment.
	daysAhead = 100
	// replayMargin is how long a JWT is remembered past its expiry, for replicas whose
	// clocks disagree.
	replayMargin = time.Hour
	// ackMargin is how long an acknowledgement is kept past the expiry of its certificate, so
	// that no replica whose clock is behind counts one less.
	ackMargin = time.Hour
)

// Prepare makes a partition for each day from now to until, of the next 100 at most; see
// [store.Upkeep].
func (s *Store) Prepare(ctx context.Context, now, until time.Time) error {
	days := make(map[int]bool)
	first := dayOf(now)
	for day := first; day <= dayOf(until) && day <= first+daysAhead; day++ {
		days[day] = true
	}
	return s.classify("prepare", s.makePartitions(ctx, days))
}

// Prune drops what is no longer needed; see [store.Upkeep].
func (s *Store) Prune(ctx context.Context, now, before time.Time) error {
	if before.After(now) {
		before = now // what has not expired is not dropped, whatever the caller computed
	}
	if err := s.dropPartitions(ctx, dayOf(before)); err != nil {
		return s.classify("prune records", err)
	}
	if _, err := s.pool.Exec(ctx, pruneTokensSQL, before); err != nil {
		return s.classify("prune tokens", err)
	}
	if _, err := s.pool.Exec(ctx, pruneReplaysSQL, now.Add(-replayMargin)); err != nil {
		return s.classify("prune replays", err)
	}
	if _, err := s.pool.Exec(ctx, pruneAcksSQL, now.Add(-ackMargin)); err != nil {
		return s.classify("prune acknowledgements", err)
	}
	if _, err := s.pool.Exec(ctx, pruneCollectedSQL, now.Add(-ackMargin)); err != nil {
		return s.classify("prune collected", err)
	}
	if _, err := s.pool.Exec(ctx, pruneMTLSReportsSQL, now.Add(-store.MTLSMemory)); err != nil {
		return s.classify("prune mTLS reports", err)
	}
	if _, err := s.pool.Exec(ctx, pruneMTLSOverridesSQL, before); err != nil {
		return s.classify("prune mTLS overrides", err)
	}
	_, err := s.pool.Exec(ctx, pruneCRLsSQL)
	return s.classify("prune CRLs", err)
}

// pruneRows is how many rows one statement of PruneRevocations deletes: some tenths of a second.
const pruneRows = 5000

// PruneRevocations drops what no CRL needs any more; see [store.Upkeep].
func (s *Store) PruneRevocations(ctx context.Context, now, before time.Time) error {
	if before.After(now) {
		before = now
	}
	limit, _ := dayBounds(dayOf(before))
	for {
		tag, err := s.pool.Exec(ctx, pruneRevocationsSQL, limit, pruneRows)
		if err != nil || tag.RowsAffected() < pruneRows {
			return s.classify("prune revocations", err)
		}
	}
}

// Now is the time by the clock of the database; see [store.Upkeep].
func (s *Store) Now(ctx context.Context) (time.Time, error) {
	var now time.Time
	err := s.pool.QueryRow(ctx, clockSQL).Scan(&now)
	return now, s.classify("clock", err)
}

// dayOf is the UTC day of t, counted since 1 January 1970, as in [store.Serial.Day].
func dayOf(t time.Time) int { return int(t.Unix() / (24 * 60 * 60)) }
