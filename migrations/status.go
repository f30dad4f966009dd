package migrations

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
)

// Status is a database beside the migrations of a binary.
type Status struct {
	// Version is the last migration that was applied, 0 for none.
	Version int64
	// Latest is the last migration of the binary.
	Latest int64
	// Pending are those of the binary that the database lacks, in order.
	Pending []int64
	// Since is the oldest version whose binaries may run on the database, once the pending
	// migrations are applied.
	Since int64
}

// Err is nil when the binary can run on the database, ErrOlder or ErrNewer when it cannot.
func (s Status) Err() error {
	switch {
	case len(s.Pending) != 0:
		return fmt.Errorf("version %d, without %v: %w", s.Version, s.Pending, ErrOlder)
	case s.Version > s.Latest && s.Since > s.Latest:
		return fmt.Errorf("version %d, for binaries of %d and later, have %d: %w", s.Version, s.Since, s.Latest, ErrNewer)
	}
	return nil
}

// Breaks reports whether replicas of the version that the database has now could not run beside
// the pending migrations. They have to be stopped first.
func (s Status) Breaks() bool {
	return s.Version > 0 && len(s.Pending) != 0 && s.Since > s.Version
}

// Look compares the database with the set. It changes nothing.
func (s *Set) Look(ctx context.Context, db *sql.DB) (Status, error) {
	applied, err := s.applied(ctx, db)
	if err != nil {
		return Status{}, err
	}
	status := Status{Latest: s.latest}
	if len(applied) != 0 {
		status.Version = slices.Max(applied)
	}
	if status.Since, err = s.since(ctx, db); err != nil {
		return Status{}, err
	}
	for _, m := range s.migrations {
		if !slices.Contains(applied, m.version) {
			status.Pending = append(status.Pending, m.version)
			status.Since = max(status.Since, m.since)
		}
	}
	return status, nil
}

// applied is the migrations that the database has.
func (s *Set) applied(ctx context.Context, db *sql.DB) (versions []int64, err error) {
	if there, err := s.hasTable(ctx, db, versionTable); err != nil || !there {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, `SELECT version_id FROM schema_version WHERE is_applied AND version_id > 0`)
	if err != nil {
		return nil, fmt.Errorf("read schema version: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var version int64
		if err := rows.Scan(&version); err != nil {
			return nil, fmt.Errorf("read schema version: %w", err)
		}
		versions = append(versions, version)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read schema version: %w", err)
	}
	return versions, nil
}

// since is what the database says of the binaries that may run on it, 0 for one that says nothing yet.
func (s *Set) since(ctx context.Context, db *sql.DB) (since int64, err error) {
	if there, err := s.hasTable(ctx, db, compatibilityTable); err != nil || !there {
		return 0, err
	}
	if err := db.QueryRowContext(ctx, `SELECT since FROM schema_compatibility`).Scan(&since); err != nil {
		return 0, fmt.Errorf("read schema compatibility: %w", err)
	}
	return since, nil
}

func (s *Set) hasTable(ctx context.Context, db *sql.DB, name string) (bool, error) {
	query := `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?`
	if s.dialect == Postgres {
		query = `SELECT count(to_regclass($1))`
	}
	var tables int
	if err := db.QueryRowContext(ctx, query, name).Scan(&tables); err != nil {
		return false, fmt.Errorf("look for %s: %w", name, err)
	}
	return tables != 0, nil
}
