package sqlite

import (
	"context"
	"time"

	"github.com/pando-ca/pando/store"
)

const (
	// pruneRows is how many rows one transaction of Prune deletes: a few milliseconds.
	pruneRows = 500
	// replayMargin is how long a JWT is remembered past its expiry, as on Postgres.
	replayMargin = time.Hour
	// ackMargin is how long an acknowledgement is kept past the expiry of its certificate, as
	// on Postgres.
	ackMargin = time.Hour
)

// Prepare does nothing: one table holds all certificates. See [store.Upkeep].
func (s *Store) Prepare(context.Context, time.Time, time.Time) error { return nil }

// Now is the time by the clock of the process, which is that of the database.
func (s *Store) Now(context.Context) (time.Time, error) { return time.Now(), nil }

// Prune deletes what is no longer needed; see [store.Upkeep].
func (s *Store) Prune(ctx context.Context, now, before time.Time) error {
	if before.After(now) {
		before = now // what has not expired is not dropped, whatever the caller computed
	}
	limit := before.UTC().Truncate(24 * time.Hour) // whole days, as on Postgres
	if err := s.pruneParts(ctx, "prune records", pruneCertificatesSQL, limit); err != nil {
		return err
	}
	if err := s.pruneParts(ctx, "prune acknowledgements", pruneAcksSQL, now.Add(-ackMargin)); err != nil {
		return err
	}
	if err := s.pruneParts(ctx, "prune collected", pruneCollectedSQL, now.Add(-ackMargin)); err != nil {
		return err
	}
	if err := s.pruneParts(ctx, "prune mTLS reports", pruneMTLSReportsSQL, now.Add(-store.MTLSMemory)); err != nil {
		return err
	}
	return s.write(ctx, "prune tokens, overrides and CRLs", func(t *tx) error {
		if _, err := t.exec(ctx, pruneTokensSQL, before.UnixMicro()); err != nil {
			return err
		}
		if _, err := t.exec(ctx, pruneReplaysSQL, now.Add(-replayMargin).UnixMicro()); err != nil {
			return err
		}
		if _, err := t.exec(ctx, pruneMTLSOverridesSQL, before.UnixMicro()); err != nil {
			return err
		}
		_, err := t.exec(ctx, pruneCRLsSQL)
		return err
	})
}

// PruneRevocations deletes what no CRL needs any more; see [store.Upkeep].
func (s *Store) PruneRevocations(ctx context.Context, now, before time.Time) error {
	if before.After(now) {
		before = now
	}
	return s.pruneParts(ctx, "prune revocations", pruneRevocationsSQL, before.UTC().Truncate(24*time.Hour))
}

// pruneParts deletes the rows before limit in many transactions, so that insertions get their
// turn between.
func (s *Store) pruneParts(ctx context.Context, op, query string, limit time.Time) error {
	for deleted := int64(pruneRows); deleted == pruneRows; {
		err := s.write(ctx, op, func(t *tx) (err error) {
			deleted, err = t.exec(ctx, query, limit.UnixMicro(), pruneRows)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
