package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/pando-ca/pando/migrations"
	"github.com/pando-ca/pando/store"
)

// Files in the directory of a store.
const (
	databaseFile = "pando.db"
	lockFile     = "pando.lock"
)

// Config configures a [Store].
type Config struct {
	Dir string // holds the database and nothing that is not Pando's
	// Audited is told of audit rows once they are durable. It must not call the Store, and not
	// block. None: nobody is told.
	Audited func([]store.Audit)
}

// Store implements the interfaces of package store on SQLite. It is safe for concurrent use
// by one process.
type Store struct {
	writer *database // one connection
	reader *database // the writer again, when the database is in memory
	lock   *os.File  // nil when the database is in memory

	watchers watchers
	tell     func([]store.Audit) // of audit rows; nil: nobody
}

var (
	_ store.Inserter      = (*Store)(nil)
	_ store.Records       = (*Store)(nil)
	_ store.Revocations   = (*Store)(nil)
	_ store.RevocationLog = (*Store)(nil)
	_ store.Entries       = (*Store)(nil)
	_ store.EntryVersions = (*Store)(nil)
	_ store.Tokens        = (*Store)(nil)
	_ store.Generations   = (*Store)(nil)
	_ store.Incidents     = (*Store)(nil)
	_ store.Watcher       = (*Store)(nil)
	_ store.Leases        = (*Store)(nil)
	_ store.Acks          = (*Store)(nil)
	_ store.Audits        = (*Store)(nil)
	_ store.Identities    = (*Store)(nil)
	_ store.PreRenewals   = (*Store)(nil)
	_ store.Figures       = (*Store)(nil)
	_ store.CRLs          = (*Store)(nil)
	_ store.Revoked       = (*Store)(nil)
	_ store.MTLSPolicies  = (*Store)(nil)
	_ store.MTLSOverrides = (*Store)(nil)
	_ store.MTLSVersions  = (*Store)(nil)
	_ store.MTLSReports   = (*Store)(nil)
	_ store.Upkeep        = (*Store)(nil)
	_ store.Health        = (*Store)(nil)
	_ store.Snapshots     = (*Store)(nil)
	_ store.Replicas      = (*Store)(nil)
	_ store.Inspection    = (*Store)(nil)
	_ store.Milestones    = (*Store)(nil)
)

// Open opens a migrated database. It returns store.ErrSchemaOld or store.ErrSchemaNew when
// this binary cannot run on its schema, or there is no database, and ErrInUse when another
// process has it open. The caller closes the Store.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	path := filepath.Join(cfg.Dir, databaseFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("no database in %s: %w", cfg.Dir, store.ErrSchemaOld)
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := &Store{lock: lock, tell: cfg.Audited}
	if err := s.open(ctx, path); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// OpenMemory makes an empty, migrated database in memory, which is gone when the Store is
// closed. It keeps every promise of package store but durability.
func OpenMemory(ctx context.Context) (*Store, error) {
	s := new(Store)
	if err := s.openMemory(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// OpenBeside opens a database that another process may have open: for snapshots and milestones, and
// nothing else. SQLite itself keeps the two apart; what this Store changes, nobody is told of. It
// returns the errors of Open but ErrInUse.
func OpenBeside(ctx context.Context, cfg Config) (*Store, error) {
	path := filepath.Join(cfg.Dir, databaseFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("no database in %s: %w", cfg.Dir, store.ErrSchemaOld)
	}
	s := new(Store)
	if err := s.open(ctx, path); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Migrate brings the schema of the database in a directory to that of this binary, and makes
// both when they are not there. It returns store.ErrSchemaNew when the database is ahead and this
// binary cannot run on it, and ErrInUse when a process has it open.
func Migrate(ctx context.Context, cfg Config) error {
	return withWriter(cfg, func(writer *database) error { return writer.migrate(ctx) })
}

// withWriter calls f with the connection that writes to the database in a directory, and makes both
// when they are not there.
func withWriter(cfg Config, f func(*database) error) (err error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	path := filepath.Join(cfg.Dir, databaseFile)
	// SQLite gives its other files the mode of this one.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("make database: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("make database: %w", err)
	}
	writer, err := openWriter(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, writer.Close()) }()
	return f(writer)
}

// Close waits for the transactions that run, and closes the database. The directory can then
// be opened again. It may be called more than once.
func (s *Store) Close() error {
	var errs []error
	if s.reader != nil && s.reader != s.writer {
		errs = append(errs, s.reader.Close())
	}
	if s.writer != nil {
		errs = append(errs, s.writer.Close())
	}
	if s.lock != nil {
		if err := s.lock.Close(); !errors.Is(err, os.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s *Store) open(ctx context.Context, path string) (err error) {
	if s.writer, err = openWriter(path); err != nil {
		return err
	}
	if err := s.writer.check(ctx); err != nil {
		return err
	}
	if err := s.writer.prepare(ctx, writeQueries()); err != nil {
		return err
	}
	if s.reader, err = openReader(path); err != nil {
		return err
	}
	return s.reader.prepare(ctx, readQueries())
}

func (s *Store) openMemory(ctx context.Context) (err error) {
	if s.writer, err = openWriter(":memory:"); err != nil {
		return err
	}
	s.reader = s.writer
	if err := s.writer.migrate(ctx); err != nil {
		return err
	}
	return s.writer.prepare(ctx, append(writeQueries(), readQueries()...))
}

// check returns an error of package store unless this binary can run on the schema.
func (d *database) check(ctx context.Context) error {
	err := migrations.Check(ctx, d.DB, migrations.SQLite)
	switch {
	case errors.Is(err, migrations.ErrOlder):
		return fmt.Errorf("%w: %w", store.ErrSchemaOld, err)
	case errors.Is(err, migrations.ErrNewer):
		return fmt.Errorf("%w: %w", store.ErrSchemaNew, err)
	}
	return classify("check schema", err)
}

func (d *database) migrate(ctx context.Context) error {
	err := migrations.Apply(ctx, d.DB, migrations.SQLite)
	if errors.Is(err, migrations.ErrNewer) {
		return fmt.Errorf("%w: %w", store.ErrSchemaNew, err)
	}
	return classify("migrate", err)
}
