package store

import (
	"context"
	"time"
)

// Replica is a process that serves from the database.
type Replica struct {
	Name    string // differs from that of every other one, also of earlier ones
	Version string
	Schema  int64         // version of the schema that it is made for
	Skew    time.Duration // by how much the clock of the database is ahead of its clock
	Age     time.Duration // since it was seen, by the clock of the database; not set by who is seen
}

// Replicas tells which replicas run.
type Replicas interface {
	// SeeReplica notes that a replica runs now, and forgets those that were not seen for an hour.
	SeeReplica(ctx context.Context, r Replica) error
	// ForgetReplica forgets one that stops. It is idempotent.
	ForgetReplica(ctx context.Context, name string) error
	// Replicas returns those that are not forgotten, ordered by name.
	Replicas(ctx context.Context) ([]Replica, error)
}
