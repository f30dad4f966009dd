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

// Schema compares the schema of the database in a directory with this binary. It changes nothing.
// It returns store.ErrSchemaOld when there is no database, and ErrInUse when a process has it open.
func Schema(ctx context.Context, cfg Config) (schema store.Schema, err error) {
	path := filepath.Join(cfg.Dir, databaseFile)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return schema, fmt.Errorf("no database in %s: %w", cfg.Dir, store.ErrSchemaOld)
	}
	err = withWriter(cfg, func(writer *database) error {
		status, err := migrations.Look(ctx, writer.DB, migrations.SQLite)
		// One process at a time uses the directory: nobody is broken.
		schema = store.Schema{Version: status.Version, Latest: status.Latest, Since: status.Since, Pending: status.Pending}
		return classify("check schema", err)
	})
	return schema, err
}
