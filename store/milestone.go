package store

import (
	"context"
	"time"
)

// Names of milestones.
const (
	MilestoneBackup    = "backup"     // a good backup was made, by whomever
	MilestoneBackupJob = "backup-job" // the same, by the job that makes one for all replicas
	MilestoneRestore   = "restore"    // the database was restored from a backup
)

// Milestones remembers when something was done last, by the clock of the database.
type Milestones interface {
	// Reach notes that the milestones are reached now, with an audit row in the same transaction.
	Reach(ctx context.Context, audit Audit, names ...string) error
	// Milestone returns when it was reached, and how long ago; ErrNotFound if it never was.
	Milestone(ctx context.Context, name string) (at time.Time, age time.Duration, err error)
}
