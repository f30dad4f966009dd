package rotation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/store"
)

// JobBackup is the name of the job that makes a backup, and of its lease.
const JobBackup = "backup"

// backupRecent is how long after a backup no other is made: replicas come to their runs apart by
// their jitter, and by as much as their clocks differ.
const backupRecent = 10 * time.Minute

// Milestones tells when something was done last; see [store.Milestones].
type Milestones interface {
	Milestone(ctx context.Context, name string) (at time.Time, age time.Duration, err error)
}

// BackupConfig says when backups are made. All fields are required.
type BackupConfig struct {
	Schedule   string // as in [Job]
	Leases     store.Leases
	Milestones Milestones
	Holder     string        // as in [LeasedConfig]
	TTL        time.Duration // for how long the lease is taken; it is prolonged during a run

	// Make makes a backup, and reaches [store.MilestoneBackupJob] when it is good.
	Make func(ctx context.Context, now time.Time) error
}

// BackupJob returns [JobBackup], which one replica does for all. Unlike a [Leased] job it gives its
// lease up after each run: runs are a day apart, and a replica that dies must not keep the others
// from the next one. A run that finds a backup by this job which is some minutes old does nothing.
func BackupJob(cfg BackupConfig) (Job, error) {
	if cfg.Milestones == nil || cfg.Make == nil {
		return Job{}, errors.New("backup job: milestones or work are missing")
	}
	s, err := parseSchedule(cfg.Schedule)
	if err != nil {
		return Job{}, fmt.Errorf("job %q: schedule %q: %w", JobBackup, cfg.Schedule, err)
	}
	recent := min(backupRecent, s.period/2)
	leased, err := NewLeased(LeasedConfig{
		Name: JobBackup, Schedule: cfg.Schedule, Leases: cfg.Leases, Holder: cfg.Holder, TTL: cfg.TTL,
		Do: func(ctx context.Context, _ store.Fence, now time.Time) error {
			_, age, err := cfg.Milestones.Milestone(ctx, store.MilestoneBackupJob)
			switch {
			case err == nil && age >= 0 && age < recent: // below 0, the clock of the database was set back
				return nil // another replica was first
			case err != nil && !errors.Is(err, store.ErrNotFound):
				return err
			}
			return cfg.Make(ctx, now)
		},
	})
	if err != nil {
		return Job{}, err
	}
	leased.cfg.TTL = cfg.TTL
	job := leased.Job()
	job.Do = func(ctx context.Context, now time.Time) error {
		err := leased.run(ctx, now)
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
		defer cancel()
		return errors.Join(err, leased.Release(ending))
	}
	return job, nil
}

// releaseTimeout bounds the last word about a lease, which runs out otherwise.
const releaseTimeout = 5 * time.Second
