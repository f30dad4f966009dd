package store

import (
	"context"
	"time"
)

// ColumnKind is what a column holds, whatever the database calls it.
type ColumnKind int

// Kinds of columns, with the Go type of a value in a [Row].
const (
	KindOctets ColumnKind = iota // []byte
	KindText                     // string
	KindInt                      // int64
	KindFloat                    // float64
	KindBool                     // bool
	KindTime                     // time.Time, in UTC, to the microsecond
	KindList                     // []string
	KindMap                      // map[string]string
)

// Column is a column of a [Table].
type Column struct {
	Name     string
	Kind     ColumnKind
	Nullable bool
	Since    int64 // migration that brought it; 0: there from FirstBackup on
}

// Table is a table as a backup holds it. The column that makes a table have one row is not
// among its columns: it fills itself.
type Table struct {
	Name    string
	Columns []Column
	Since   int64 // migration that brought it; 0: there from FirstBackup on

	// Expires says that each row is about a certificate and has its end in the column not_after:
	// the choice of records decides which rows are held.
	Expires bool
	// Seeded says that a migration puts a row there, which a restore replaces.
	Seeded bool
}

// Row is the values of a table's columns, in their order; nil for null.
type Row []any

// Snapshots reads whole tables.
type Snapshots interface {
	// Snapshot calls f with all tables as they were at one moment. Nobody is held up meanwhile,
	// but what was deleted since takes up room until f returns.
	Snapshot(ctx context.Context, f func(Snapshot) error) error
}

// Snapshot is all tables as of one moment. It is not safe for concurrent use.
type Snapshot interface {
	// Schema is the version of the schema, which may be newer than this binary.
	Schema(ctx context.Context) (int64, error)
	// Count returns how many rows Each calls each for.
	Count(ctx context.Context, t *Table, after time.Time) (int64, error)
	// Each calls each for every row, in no order; of a table that Expires, for those that end
	// after the given time. The row is each's to keep.
	Each(ctx context.Context, t *Table, after time.Time, each func(Row) error) error
}

// Restoration is what an empty database is filled with.
//
// The state that is restored is older than the one that was lost, and others have seen that. So
// no number is given a second time: the sequence of the trust bundle, the number of the
// revocations, the terms of leases and the versions of entries and mTLS policies go on from the clock, and a
// prepared root counts as published at the restore. A key in a token that was intended, and not
// doomed, is forgotten: an authority that is lost may have come to hold it.
type Restoration struct {
	Schema int64         // version of the schema that the rows are of
	Age    time.Duration // how long ago the backup was made
	Audit  Audit

	// Rows calls write for all rows, in the order of BackedUp, some thousand at a time. If it
	// returns an error, nothing is restored.
	Rows func(write func(t *Table, rows []Row) error) error
}
