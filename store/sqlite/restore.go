package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pando-ca/pando/migrations"
	"github.com/pando-ca/pando/store"
)

// Restore fills an empty database, which it makes if there is none, and brings it to the schema
// of this binary; see [store.Restoration]. All rows are written in one transaction: a process that
// dies leaves an empty database, which can be restored into, or a whole one. It returns
// store.ErrNotEmpty, store.ErrSchemaNew when the database is of a newer schema than the rows, and
// ErrInUse when a process has it open.
func Restore(ctx context.Context, cfg Config, r store.Restoration) error {
	return withWriter(cfg, func(writer *database) error {
		latest, err := migrations.Latest(migrations.SQLite)
		if err != nil {
			return err
		}
		err = migrations.ApplyTo(ctx, writer.DB, migrations.SQLite, r.Schema)
		if errors.Is(err, migrations.ErrNewer) {
			return fmt.Errorf("%w: %w", store.ErrSchemaNew, err)
		}
		if err != nil {
			return classify("migrate", err)
		}
		now := r.Schema == latest // an audit row is of the latest schema
		if err := writer.restore(ctx, &r, now); err != nil || now {
			return err
		}
		if err := writer.migrate(ctx); err != nil {
			return err
		}
		if err := writer.prepare(ctx, auditQueries()); err != nil {
			return err
		}
		return writer.within(ctx, "restore", func(t *tx) error { return t.auditRestore(ctx, r) })
	})
}

// restore is the transaction.
func (d *database) restore(ctx context.Context, r *store.Restoration, audit bool) error {
	queries := restoreQueries()
	if audit {
		queries = append(queries, auditQueries()...)
	}
	if err := d.prepare(ctx, queries); err != nil {
		return err
	}
	begun, err := d.BeginTx(ctx, nil)
	if err != nil {
		return classify("restore", err)
	}
	t := &tx{begun, d.prepared}
	if err := t.restore(ctx, r, audit); err != nil {
		_ = begun.Rollback() // as in within
		return err
	}
	return classify("restore", begun.Commit())
}

func (t *tx) restore(ctx context.Context, r *store.Restoration, audit bool) error {
	if err := t.clearForRestore(ctx, r.Schema); err != nil {
		return classify("restore", err)
	}
	if err := r.Rows(func(table *store.Table, rows []store.Row) error { return t.writeRows(ctx, table, rows) }); err != nil {
		return err
	}
	now := time.Now()
	for _, step := range []struct {
		query string
		args  []any
	}{
		{restoredGenerationSQL, []any{now.Unix(), now.UnixMicro()}},
		{restoredRootsSQL, []any{now.UnixMicro()}},
		{restoredRevocationsSQL, []any{now.UnixMicro()}},
		{restoredLeasesSQL, []any{now.Unix()}},
		{restoredEntriesSQL, []any{now.Unix()}},
		{restoredMTLSSQL, []any{now.UnixMicro()}},
		{restoredIntentsSQL, nil},
		{milestoneReachSQL, []any{store.MilestoneBackup, now.Add(-r.Age).UnixMicro()}},
		{milestoneReachSQL, []any{store.MilestoneRestore, now.UnixMicro()}},
	} {
		if _, err := t.exec(ctx, step.query, step.args...); err != nil {
			return classify("restore", err)
		}
	}
	if !audit {
		return nil
	}
	return classify("restore", t.auditRestore(ctx, *r))
}

func (t *tx) auditRestore(ctx context.Context, r store.Restoration) error {
	_, err := t.addAudits(ctx, []store.Audit{r.Audit})
	return err
}

// clearForRestore refuses a database that holds something, and takes out what migrations have put in.
func (t *tx) clearForRestore(ctx context.Context, schema int64) error {
	for _, table := range store.TablesAt(schema) {
		if table.Seeded {
			if _, err := t.ExecContext(ctx, strings.ReplaceAll(restoreClearSQL, "{table}", table.Name)); err != nil {
				return err
			}
			continue
		}
		var used bool
		if err := t.QueryRowContext(ctx, strings.ReplaceAll(restoreUsedSQL, "{table}", table.Name)).Scan(&used); err != nil {
			return err
		}
		if used {
			return fmt.Errorf("%w: there are rows in table %s", store.ErrNotEmpty, table.Name)
		}
	}
	return nil
}

// writeRows inserts rows one by one.
func (t *tx) writeRows(ctx context.Context, table *store.Table, rows []store.Row) error {
	values := strings.TrimSuffix(strings.Repeat("?, ", len(table.Columns)), ", ")
	query := strings.NewReplacer("{table}", table.Name, "{columns}", columnsOf(table), "{values}", values).Replace(restoreRowSQL)
	statement, err := t.PrepareContext(ctx, query)
	if err != nil {
		return classify("restore "+table.Name, err)
	}
	defer statement.Close()
	args := make([]any, len(table.Columns))
	for _, row := range rows {
		for i, c := range table.Columns {
			if args[i], err = toColumn(c.Kind, row[i]); err != nil {
				return fmt.Errorf("restore %s.%s: %w", table.Name, c.Name, err)
			}
		}
		if _, err := statement.ExecContext(ctx, args...); err != nil {
			return classify("restore "+table.Name, err)
		}
	}
	return nil
}
