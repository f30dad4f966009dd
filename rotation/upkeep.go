package rotation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/store"
)

// Names of the jobs that keep the store.
const (
	JobPartitions = "partitions" // makes what insertions will need
	JobPrune      = "prune"      // drops what has been expired for long
)

const (
	// partitionSlack is how much further than the longest certificate the partitions reach:
	// the job may fail for this long before an insertion has to make one itself.
	partitionSlack = 7 * 24 * time.Hour

	// defaultKeepRevocations is two days, so that a certificate that was revoked just before it
	// expired is on a CRL at least once.
	defaultKeepRevocations = 2 * 24 * time.Hour

	defaultRetention  = 90 * 24 * time.Hour
	defaultPartitions = "@every 6h"
	defaultPrune      = "@every 1h"
)

// UpkeepConfig says how the store is kept.
type UpkeepConfig struct {
	Store   store.Upkeep  // required
	Longest time.Duration // required: the longest validity that any profile allows

	// Retention is how long a record is kept after its certificate has expired. 0 means 90
	// days.
	Retention time.Duration
	// KeepRevocations is how long a revocation is kept after its certificate has expired, at
	// least: it is kept as long as the record, too, which says that it was revoked. It must be
	// two periods of publishing CRLs. 0 means two days.
	KeepRevocations time.Duration

	Partitions string // schedule; empty means every 6 hours
	Prune      string // schedule; empty means every hour
}

// UpkeepJobs returns the jobs that keep a store: [JobPartitions], to be run once before
// requests are served, and [JobPrune].
func UpkeepJobs(cfg UpkeepConfig) ([]Job, error) {
	switch {
	case cfg.Store == nil:
		return nil, errors.New("upkeep: no store")
	case cfg.Longest <= 0:
		return nil, errors.New("upkeep: no longest validity")
	case cfg.Retention < 0 || cfg.KeepRevocations < 0:
		return nil, errors.New("upkeep: negative retention")
	}
	if cfg.Retention == 0 {
		cfg.Retention = defaultRetention
	}
	if cfg.KeepRevocations == 0 {
		cfg.KeepRevocations = defaultKeepRevocations
	}
	if cfg.Partitions == "" {
		cfg.Partitions = defaultPartitions
	}
	if cfg.Prune == "" {
		cfg.Prune = defaultPrune
	}
	return []Job{{
		Name: JobPartitions, Schedule: cfg.Partitions,
		Do: func(ctx context.Context, now time.Time) error {
			return cfg.Store.Prepare(ctx, now, now.Add(cfg.Longest+partitionSlack))
		},
	}, {
		Name: JobPrune, Schedule: cfg.Prune,
		Do: func(ctx context.Context, now time.Time) error {
			if err := checkClock(ctx, cfg.Store, now); err != nil {
				return err
			}
			if err := cfg.Store.Prune(ctx, now, now.Add(-cfg.Retention)); err != nil {
				return err
			}
			return cfg.Store.PruneRevocations(ctx, now, now.Add(-max(cfg.Retention, cfg.KeepRevocations)))
		},
	}}, nil
}

// maxClockDifference is more than the clocks of machines that are looked after differ by.
const maxClockDifference = 10 * time.Minute

// checkClock refuses to prune by a clock that is not the database's: what is dropped is gone,
// and a replica whose clock is ahead would drop the records of live certificates.
func checkClock(ctx context.Context, s store.Upkeep, now time.Time) error {
	there, err := s.Now(ctx)
	if err != nil {
		return err
	}
	if difference := now.Sub(there).Abs(); difference > maxClockDifference {
		return fmt.Errorf("the clock of this machine differs from the database's by %s", difference.Round(time.Second))
	}
	return nil
}
