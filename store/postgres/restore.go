package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/pando-ca/pando/migrations"
	"github.com/pando-ca/pando/store"
)

// Restore fills an empty database and brings it to the schema of this binary; see
// [store.Restoration]. All rows are written in one transaction: a process that dies leaves an empty
// database, which can be restored into, or a whole one. It returns store.ErrNotEmpty, and
// store.ErrSchemaNew when the database is of a newer schema than the rows.
func Restore(ctx context.Context, cfg Config, r store.Restoration) error {
	latest, err := migrations.Latest(migrations.Postgres)
	if err != nil {
		return err
	}
	pool, err := connect(ctx, cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close()
	err = migrations.ApplyTo(ctx, db, migrations.Postgres, r.Schema)
	if errors.Is(err, migrations.ErrNewer) {
		return fmt.Errorf("%w: %w", store.ErrSchemaNew, err)
	}
	if err != nil {
		return classify("migrate", err)
	}
	s := &Store{pool: pool}
	now := r.Schema == latest // an audit row is of the latest schema
	if err := s.restore(ctx, &r, now); err != nil || now {
		return err
	}
	if err := migrations.Apply(ctx, db, migrations.Postgres); err != nil {
		return classify("migrate", err)
	}
	return s.change(ctx, "restore", r.Audit, func(pgx.Tx) (bool, error) { return true, nil })
}

// restore is the transaction.
func (s *Store) restore(ctx context.Context, r *store.Restoration, audit bool) error {
	tx, err := s.pool.Begin(ctx)
	if err != nil {
		return s.classify("restore", err)
	}
	err = restoring{tx, make(map[int]bool)}.run(ctx, r, audit)
	if err == nil {
		return s.classify("restore", tx.Commit(ctx))
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), watchTimeout)
	defer cancel()
	_ = tx.Rollback(ending) // or the server does it when the connection ends
	return err
}

// restoring is a restore that is going on.
type restoring struct {
	tx   pgx.Tx
	days map[int]bool // of which there are partitions
}

func (r restoring) run(ctx context.Context, what *store.Restoration, audit bool) error {
	if err := r.clear(ctx, what.Schema); err != nil {
		return classify("restore", err)
	}
	if err := what.Rows(func(t *store.Table, rows []store.Row) error { return r.write(ctx, t, rows) }); err != nil {
		return err
	}
	now := time.Now()
	var batch pgx.Batch
	batch.Queue(restoredGenerationSQL, now.Unix())
	batch.Queue(restoredRootsSQL)
	batch.Queue(restoredRevocationsSQL, now.UnixMicro())
	batch.Queue(restoredLeasesSQL, now.Unix())
	batch.Queue(restoredEntriesSQL, now.Unix())
	batch.Queue(restoredMTLSSQL, now.UnixMicro())
	batch.Queue(restoredIntentsSQL)
	batch.Queue(milestoneReachSQL, store.MilestoneBackup, what.Age.Microseconds())
	batch.Queue(milestoneReachSQL, store.MilestoneRestore, 0)
	batch.Queue(restoredAuditSQL)
	err := r.tx.SendBatch(ctx, &batch).Close()
	if err == nil && audit {
		_, err = addAudits(ctx, r.tx, []store.Audit{what.Audit})
	}
	return classify("restore", err)
}

// clear refuses a database that holds something, and takes out what migrations have put in. Nobody
// else makes a CA meanwhile.
func (r restoring) clear(ctx context.Context, schema int64) error {
	if _, err := r.tx.Exec(ctx, lockExclusiveSQL); err != nil {
		return err
	}
	if _, err := r.tx.Exec(ctx, snapshotBeginSQL); err != nil {
		return err
	}
	made, err := listPartitions(ctx, r.tx.Conn()) // by a server that has found no CA
	if err != nil {
		return err
	}
	for _, p := range made {
		if day, err := p.day(); err == nil {
			r.days[day] = true
		}
	}
	for _, table := range store.TablesAt(schema) {
		if table.Seeded {
			if _, err := r.tx.Exec(ctx, strings.ReplaceAll(restoreClearSQL, "{table}", table.Name)); err != nil {
				return err
			}
			continue
		}
		var used bool
		if err := r.tx.QueryRow(ctx, strings.ReplaceAll(restoreUsedSQL, "{table}", table.Name)).Scan(&used); err != nil {
			return err
		}
		if used {
			return fmt.Errorf("%w: there are rows in table %s", store.ErrNotEmpty, table.Name)
		}
	}
	return nil
}

// write copies rows into their table, and makes the partitions that they need first.
func (r restoring) write(ctx context.Context, t *store.Table, rows []store.Row) error {
	if t.Name == partitioned {
		if err := r.makePartitions(ctx, t, rows); err != nil {
			return classify("restore "+t.Name, err)
		}
	}
	source := pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) { return rows[i], nil })
	_, err := r.tx.CopyFrom(ctx, pgx.Identifier{t.Name}, namesOf(t), source)
	return classify("restore "+t.Name, err)
}

// partitioned is the table that has a partition for each day of not_after.
const partitioned = "certificates"

func (r restoring) makePartitions(ctx context.Context, t *store.Table, rows []store.Row) error {
	column := 0
	for i, c := range t.Columns {
		if c.Name == "not_after" {
			column = i
		}
	}
	for _, row := range rows {
		notAfter, ok := row[column].(time.Time)
		if !ok {
			return fmt.Errorf("a certificate without an end: %w", store.ErrInvalid)
		}
		day := dayOf(notAfter)
		if r.days[day] {
			continue
		}
		if len(r.days) == maxRestoredDays {
			return fmt.Errorf("certificates end on more than %d days: %w", maxRestoredDays, store.ErrInvalid)
		}
		if err := r.tx.Conn().PgConn().Exec(ctx, partitionSQL(day)).Close(); err != nil {
			return err
		}
		r.days[day] = true
	}
	return nil
}

// maxRestoredDays is more than any CA has that prunes, and few enough that what is no backup of one does not
// fill the catalogue.
const maxRestoredDays = 5_000
