package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/pressly/goose/v3"
)

const (
	// versionTable is where goose keeps what it has applied.
	versionTable = "schema_version"
	// compatibilityTable has one row: the oldest version whose binaries may run on the database.
	compatibilityTable = "schema_compatibility"
)

// Set is the migrations that a release has for one kind of database. It may be used concurrently.
type Set struct {
	dialect    Dialect
	files      fs.FS
	migrations []migration // in order
	latest     int64
	pause      time.Duration // between two attempts at the lock of a table
}

// migration is one file.
type migration struct {
	version int64
	since   int64 // which binaries may run on it and later ones; 0: those that could before
}

// declaration is how a file says that earlier binaries cannot run on it.
var declaration = regexp.MustCompile(`(?m)^UPDATE schema_compatibility SET since = ([0-9]{1,9}) WHERE since < ([0-9]{1,9});$`)

// New reads the files of a folder, which are named by their numbers.
func New(d Dialect, folder fs.FS) (*Set, error) {
	names, err := fs.Glob(folder, "*.sql") // sorted, and all numbers have five digits
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	s := &Set{dialect: d, files: folder, pause: lockPause}
	for _, name := range names {
		m, err := read(folder, name)
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", name, err)
		}
		s.migrations = append(s.migrations, m)
		s.latest = max(s.latest, m.version)
	}
	return s, nil
}

func read(folder fs.FS, name string) (m migration, err error) {
	if m.version, err = goose.NumericComponent(name); err != nil {
		return m, err
	}
	text, err := fs.ReadFile(folder, name)
	if err != nil {
		return m, err
	}
	found := declaration.FindSubmatch(text)
	if found == nil {
		return m, nil
	}
	if string(found[1]) != string(found[2]) {
		return m, errors.New("declares two versions")
	}
	m.since, err = strconv.ParseInt(string(found[1]), 10, 64)
	return m, err
}

// upTo is the migrations up to a version.
func (s *Set) upTo(version int64) *Set {
	earlier := *s
	earlier.migrations = slices.DeleteFunc(slices.Clone(s.migrations), func(m migration) bool { return m.version > version })
	earlier.latest = version
	return &earlier
}

// Apply brings the database to the version of the set; see the function of this name.
func (s *Set) Apply(ctx context.Context, db *sql.DB) error {
	status, err := s.Look(ctx, db)
	if err != nil {
		return err
	}
	if err := status.Err(); err == nil || errors.Is(err, ErrNewer) {
		return err
	}
	for attempt := 1; ; attempt++ {
		err := s.up(ctx, db)
		if !tableLocked(err) {
			return err
		}
		if attempt == lockAttempts {
			return fmt.Errorf("a table stayed locked by another transaction (see pg_stat_activity): %w", err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(s.pause):
		}
	}
}

// up applies what is pending. A file that fails is rolled back; those before it stay.
func (s *Set) up(ctx context.Context, db *sql.DB) error {
	dialect := goose.DialectSQLite3
	options := []goose.ProviderOption{
		goose.WithTableName(versionTable),
		goose.WithDisableGlobalRegistry(true),
		goose.WithAllowOutofOrder(true), // a lower number may be released later
	}
	if s.dialect == Postgres {
		dialect = goose.DialectPostgres
		options = append(options, goose.WithSessionLocker(locker{}))
	}
	provider, err := goose.NewProvider(dialect, db, s.files, options...)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	if _, err := provider.UpTo(ctx, s.latest); err != nil {
		return fmt.Errorf("apply migrations: %w", err)
	}
	return nil
}
