package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pando-ca/pando/server"
	"github.com/pando-ca/pando/store"
	"github.com/pando-ca/pando/store/postgres"
	"github.com/pando-ca/pando/store/sqlite"
)

// database is what the two stores have in common, as far as this program uses it.
type database interface {
	store.Inserter
	store.Records
	store.Tokens
	store.Revocations
	store.RevocationLog
	store.Generations
	store.Incidents
	store.KeyIntents
	store.AuthorityRequests
	store.Watcher
	store.Leases
	store.Acks
	store.PreRenewals
	server.FigureStore
	store.CRLs
	store.Revoked
	server.MTLSStore
	store.Upkeep
	store.Audits
	store.Health
	store.Snapshots
	store.Milestones
	store.Inspection
	store.Replicas
	server.EntryStore
	io.Closer
}

// databaseName is the database in words, without a password.
func (c *config) databaseName() string {
	if c.Database == "" {
		return "SQLite in " + c.Data
	}
	return redactDatabase(c.Database)
}

// sqliteName is the file of the SQLite database in the data directory.
const sqliteName = "pando.db"

// errNoDatabase says that there is no SQLite database. One of no version would be migrated.
var errNoDatabase = errors.New("there is no database")

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// openDatabase opens the configured database. This binary must be able to run on its schema.
func openDatabase(ctx context.Context, cfg *config) (database, error) {
	return openAudited(ctx, cfg, nil)
}

// openAudited is openDatabase, with somebody who is told of the audit rows that are written.
func openAudited(ctx context.Context, cfg *config, audited func([]store.Audit)) (database, error) {
	if cfg.Database == "" {
		db, err := sqlite.Open(ctx, sqlite.Config{Dir: cfg.Data, Audited: audited})
		if errors.Is(err, store.ErrSchemaOld) && !exists(filepath.Join(cfg.Data, sqliteName)) {
			return nil, fmt.Errorf("%w in %s: make a CA there with pando init, or restore %s", errNoDatabase, cfg.Data, sqliteName)
		}
		if err != nil {
			return nil, describeDatabase(err)
		}
		return db, nil
	}
	db, err := postgres.Open(ctx, postgres.Config{URL: cfg.Database, MaxConns: cfg.Limits.MaxDatabase, Audited: audited})
	if err != nil {
		return nil, describeDatabase(err)
	}
	return db, nil
}

// migrateDatabase brings the schema of the configured database to that of this binary. Offline
// says that no replica of an earlier one runs.
func migrateDatabase(ctx context.Context, cfg *config, offline bool) error {
	switch {
	case cfg.Database == "":
		return describeDatabase(sqlite.Migrate(ctx, sqlite.Config{Dir: cfg.Data}))
	case offline:
		return describeDatabase(postgres.MigrateOffline(ctx, postgres.Config{URL: cfg.Database}))
	}
	return describeDatabase(postgres.Migrate(ctx, postgres.Config{URL: cfg.Database}))
}

// databaseSchema compares the schema of the configured database with this binary.
func databaseSchema(ctx context.Context, cfg *config) (schema store.Schema, err error) {
	if cfg.Database == "" {
		schema, err = sqlite.Schema(ctx, sqlite.Config{Dir: cfg.Data})
	} else {
		schema, err = postgres.Schema(ctx, postgres.Config{URL: cfg.Database})
	}
	return schema, describeDatabase(err)
}

// describeDatabase says what to do about an error, and gives it its exit code.
func describeDatabase(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrSchemaOld):
		return fmt.Errorf("database: %w: run pando migrate, or start with --migrate; if it is empty, make a CA with pando init", err)
	case errors.Is(err, store.ErrSchemaNew):
		return fmt.Errorf("database: %w: install the newer pando, which migrated it, or a later one than this", err)
	case errors.Is(err, store.ErrSchemaBreaks):
		return fmt.Errorf("database: %w: stop all replicas, then run pando migrate --offline", err)
	case errors.Is(err, store.ErrUnavailable):
		return withExitCode(exitUnavailable, fmt.Errorf("database: %w", flat{err}))
	}
	return fmt.Errorf("database: %w", flat{err})
}

// flat is an error in one line: the driver gives one to each address that it tried.
type flat struct{ err error }

func (f flat) Error() string { return strings.Join(strings.Fields(f.err.Error()), " ") }
func (f flat) Unwrap() error { return f.err }

// databaseRetry is the wait between two attempts to reach the database at start: short against
// what a restart of the database takes, long against what an attempt costs it.
const databaseRetry = 500 * time.Millisecond

// awaitDatabase calls attempt until it does not fail for an unreachable database, or until the
// limit has passed: a database that is started together with Pando may need a while. notice is
// called before the first wait. The limit does not bound an attempt, which may be a long
// migration: it is the driver that gives up on a server that does not answer.
func awaitDatabase(ctx context.Context, limit time.Duration, notice func(error), attempt func(context.Context) error) error {
	limited := time.NewTimer(limit)
	defer limited.Stop()
	retry := time.NewTicker(databaseRetry)
	defer retry.Stop()
	for first := true; ; first = false {
		err := attempt(ctx)
		if !errors.Is(err, store.ErrUnavailable) {
			return err
		}
		if first {
			notice(err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-limited.C:
			return err
		case <-retry.C:
		}
	}
}
