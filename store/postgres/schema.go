package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/stdlib"

	"github.com/pando-ca/pando/migrations"
	"github.com/pando-ca/pando/store"
)

// Migrate brings the schema of a database to that of this binary, while replicas run. Several
// processes may do this at once. It returns store.ErrSchemaNew when the database is ahead and this
// binary cannot run on it, and store.ErrSchemaBreaks, with nothing changed, when replicas of the
// schema that is there could not go on: see MigrateOffline.
func Migrate(ctx context.Context, cfg Config) error {
	return migrate(ctx, cfg, false)
}

// MigrateOffline is Migrate for when no replica of an earlier version runs.
func MigrateOffline(ctx context.Context, cfg Config) error {
	return migrate(ctx, cfg, true)
}

func migrate(ctx context.Context, cfg Config, offline bool) error {
	return withDatabase(ctx, cfg, func(db *sql.DB) error {
		status, err := migrations.Look(ctx, db, migrations.Postgres)
		if err != nil {
			return classify("check schema", err)
		}
		if status.Breaks() && !offline {
			return fmt.Errorf("from version %d to %d: %w", status.Version, status.Latest, store.ErrSchemaBreaks)
		}
		err = migrations.Apply(ctx, db, migrations.Postgres)
		if errors.Is(err, migrations.ErrNewer) {
			return fmt.Errorf("%w: %w", store.ErrSchemaNew, err)
		}
		return classify("migrate", err)
	})
}

// Schema compares the schema of a database with this binary. It changes nothing.
func Schema(ctx context.Context, cfg Config) (schema store.Schema, err error) {
	err = withDatabase(ctx, cfg, func(db *sql.DB) error {
		status, err := migrations.Look(ctx, db, migrations.Postgres)
		schema = store.Schema{Version: status.Version, Latest: status.Latest, Since: status.Since, Pending: status.Pending, Breaks: status.Breaks()}
		return classify("check schema", err)
	})
	return schema, err
}

// withDatabase runs f on connections of its own.
func withDatabase(ctx context.Context, cfg Config, f func(*sql.DB) error) error {
	pool, err := connect(ctx, cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	return f(db)
}

func (s *Store) checkSchema(ctx context.Context) error {
	db := stdlib.OpenDBFromPool(s.pool)
	defer db.Close()
	err := migrations.Check(ctx, db, migrations.Postgres)
	switch {
	case errors.Is(err, migrations.ErrOlder):
		return fmt.Errorf("%w: %w", store.ErrSchemaOld, err)
	case errors.Is(err, migrations.ErrNewer):
		return fmt.Errorf("%w: %w", store.ErrSchemaNew, err)
	}
	return classify("check schema", err)
}
