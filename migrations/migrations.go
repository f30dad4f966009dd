package migrations

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

//go:embed postgres/*.sql sqlite/*.sql
var files embed.FS

// versionTable is where goose keeps what it has applied.
const versionTable = "schema_version"

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
	// ErrNewer says that the database has migrations that this binary lacks.
	ErrNewer = errors.New("schema is newer than this binary")
)

// Apply brings the database to the version of this binary. It may be called by several
// processes at once: on Postgres one of them migrates and the others wait for it. It
// returns ErrNewer, and changes nothing, when the database is ahead.
func Apply(ctx context.Context, db *sql.DB, d Dialect) error {
	latest, err := Latest(d)
	if err != nil {
		return err
	}
	return ApplyTo(ctx, db, d, latest)
}

// ApplyTo is Apply for an earlier version, which rows are then put into that are of it.
func ApplyTo(ctx context.Context, db *sql.DB, d Dialect, version int64) error {
	if err := check(ctx, db, d, version); err == nil || errors.Is(err, ErrNewer) {
		return err
	}
	provider, err := newProvider(db, d)
	if err != nil {
		return err
	}
	if _, err := provider.UpTo(ctx, version); err != nil {
		return fmt.Errorf("apply migrations: %w", err)
	}
	return nil
}

// Check returns nil when the database has the version of this binary, ErrOlder or ErrNewer
// (wrapped with both versions) when it has not. It changes nothing.
func Check(ctx context.Context, db *sql.DB, d Dialect) error {
	want, err := Latest(d)
	if err != nil {
		return err
	}
	return check(ctx, db, d, want)
}

func check(ctx context.Context, db *sql.DB, d Dialect, want int64) error {
	have, err := Version(ctx, db, d)
	if err != nil {
		return err
	}
	switch {
	case have < want:
		return fmt.Errorf("version %d, need %d: %w", have, want, ErrOlder)
	case have > want:
		return fmt.Errorf("version %d, need %d: %w", have, want, ErrNewer)
	}
	return nil
}

// Version is the version of the database: the number of the last migration that was applied,
// 0 when there is none. It changes nothing.
func Version(ctx context.Context, db *sql.DB, d Dialect) (int64, error) {
	exists := `SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'`
	if d == Postgres {
		exists = `SELECT count(to_regclass('schema_version'))`
	}
	var tables int
	if err := db.QueryRowContext(ctx, exists).Scan(&tables); err != nil {
		return 0, fmt.Errorf("look for schema version: %w", err)
	}
	if tables == 0 {
		return 0, nil
	}
	var version int64
	err := db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM schema_version WHERE is_applied`).Scan(&version)
	if err != nil {
		return 0, fmt.Errorf("read schema version: %w", err)
	}
	return version, nil
}

// Latest is the version of this binary: the number of the last migration that it holds.
func Latest(d Dialect) (int64, error) {
	names, err := fs.Glob(files, string(d)+"/*.sql")
	if err != nil {
		return 0, fmt.Errorf("list migrations: %w", err)
	}
	var latest int64
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return 0, fmt.Errorf("migration %s: %w", name, err)
		}
		latest = max(latest, version)
	}
	return latest, nil
}

func newProvider(db *sql.DB, d Dialect) (*goose.Provider, error) {
	folder, err := fs.Sub(files, string(d))
	if err != nil {
		return nil, fmt.Errorf("open migrations: %w", err)
	}
	dialect := goose.DialectSQLite3
	options := []goose.ProviderOption{
		goose.WithTableName(versionTable),
		goose.WithDisableGlobalRegistry(true),
	}
	if d == Postgres {
		dialect = goose.DialectPostgres
		options = append(options, goose.WithSessionLocker(locker{}))
	}
	provider, err := goose.NewProvider(dialect, db, folder, options...)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return provider, nil
}
