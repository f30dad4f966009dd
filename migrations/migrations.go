package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
)

//go:embed postgres/*.sql sqlite/*.sql
var files embed.FS

// Dialect names a kind of database.
type Dialect string

// The databases that there are migrations for.
const (
	Postgres Dialect = "postgres"
	SQLite   Dialect = "sqlite"
)

var (
	// ErrOlder says that the database lacks migrations that this binary has.
	ErrOlder = errors.New("schema is older than this binary")
	// ErrNewer says that the database has migrations that this binary lacks and cannot run on.
	ErrNewer = errors.New("schema is newer than this binary")
)

// Apply brings the database to the version of this binary. It may be called by several
// processes at once, and while replicas run: on Postgres one of them migrates and the others wait for it. It
// returns ErrNewer, and changes nothing, when the database is ahead and this binary cannot run on it.
// It does not ask whether earlier replicas can: see [Status.Breaks].
func Apply(ctx context.Context, db *sql.DB, d Dialect) error {
	set, err := Embedded(d)
	if err != nil {
		return err
	}
	return set.Apply(ctx, db)
}

// ApplyTo is Apply for an earlier version, which rows are then put into that are of it. It returns
// ErrNewer when the database is ahead of that version.
func ApplyTo(ctx context.Context, db *sql.DB, d Dialect, version int64) error {
	set, err := Embedded(d)
	if err != nil {
		return err
	}
	set = set.upTo(version)
	status, err := set.Look(ctx, db)
	if err != nil {
		return err
	}
	if status.Version > version {
		return fmt.Errorf("version %d, need %d: %w", status.Version, version, ErrNewer)
	}
	return set.Apply(ctx, db)
}

// Check returns nil when this binary can run on the database, ErrOlder or ErrNewer
// (wrapped with the versions) when it cannot. It changes nothing.
func Check(ctx context.Context, db *sql.DB, d Dialect) error {
	status, err := Look(ctx, db, d)
	if err != nil {
		return err
	}
	return status.Err()
}

// Look compares the database with this binary. It changes nothing.
func Look(ctx context.Context, db *sql.DB, d Dialect) (Status, error) {
	set, err := Embedded(d)
	if err != nil {
		return Status{}, err
	}
	return set.Look(ctx, db)
}

// Version is the version of the database: the number of the last migration that was applied,
// 0 when there is none. It changes nothing.
func Version(ctx context.Context, db *sql.DB, d Dialect) (int64, error) {
	status, err := Look(ctx, db, d)
	return status.Version, err
}

// Latest is the version of this binary: the number of the last migration that it holds.
func Latest(d Dialect) (int64, error) {
	set, err := Embedded(d)
	if err != nil {
		return 0, err
	}
	return set.latest, nil
}

// Embedded is the migrations of this binary.
func Embedded(d Dialect) (*Set, error) {
	folder, err := fs.Sub(files, string(d))
	if err != nil {
		return nil, fmt.Errorf("open migrations: %w", err)
	}
	return New(d, folder)
}
