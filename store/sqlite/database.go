package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"

	"modernc.org/sqlite"

	"github.com/pando-ca/pando/store"
)

// database is connections to one file, with the statements that run on them prepared.
type database struct {
	*sql.DB
	prepared map[string]*sql.Stmt // by text; filled before the Store is returned
}

// openWriter opens the connection that writes. Its transactions take the lock for writing as
// they begin, so that none fails half way for want of it.
func openWriter(path string) (*database, error) {
	d, err := openDatabase(path, url.Values{
		"_txlock": {"immediate"},
		"_pragma": {
			"busy_timeout(5000)", // a checkpoint may take a moment, and the note of a backup; nobody else writes
			"journal_mode(WAL)", "synchronous(FULL)", "fullfsync(1)", "foreign_keys(1)",
		},
	})
	if err != nil {
		return nil, err
	}
	d.SetMaxOpenConns(1)
	d.SetMaxIdleConns(1) // the one of a database in memory must never be closed
	return d, nil
}

// openReader opens the connections that read, each on a snapshot of its own.
func openReader(path string) (*database, error) {
	d, err := openDatabase(path, url.Values{
		"mode":    {"ro"},
		"_pragma": {"busy_timeout(1000)", "query_only(1)"},
	})
	if err != nil {
		return nil, err
	}
	d.SetMaxOpenConns(max(2, runtime.NumCPU()))
	d.SetMaxIdleConns(max(2, runtime.NumCPU()))
	return d, nil
}

func openDatabase(path string, parameters url.Values) (*database, error) {
	name := "file::memory:"
	if path != ":memory:" {
		absolute, err := filepath.Abs(path)
		if err != nil {
			return nil, fmt.Errorf("open database: %w", err)
		}
		name = (&url.URL{Scheme: "file", Path: absolute}).String()
	}
	connector, err := sqlite.NewConnector(name + "?" + parameters.Encode())
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	return &database{DB: sql.OpenDB(connector), prepared: make(map[string]*sql.Stmt)}, nil
}

// prepare prepares statements; they live as long as the database.
func (d *database) prepare(ctx context.Context, queries []string) error {
	for _, query := range queries {
		statement, err := d.PrepareContext(ctx, query)
		if err != nil {
			return classify("prepare statements", err)
		}
		d.prepared[query] = statement
	}
	return nil
}

// Close closes the statements and the connections.
func (d *database) Close() error {
	var errs []error
	for _, statement := range d.prepared {
		errs = append(errs, statement.Close())
	}
	return errors.Join(append(errs, d.DB.Close())...)
}

// query runs a prepared query.
func (d *database) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return d.prepared[query].QueryContext(ctx, args...)
}

// queryRow runs a prepared query for one row.
func (d *database) queryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return d.prepared[query].QueryRowContext(ctx, args...)
}

// tx is a transaction.
type tx struct {
	*sql.Tx
	prepared map[string]*sql.Stmt
}

// exec runs a prepared statement, and returns how many rows it changed.
func (t *tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	result, err := t.StmtContext(ctx, t.prepared[query]).ExecContext(ctx, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// query runs a prepared query.
func (t *tx) query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return t.StmtContext(ctx, t.prepared[query]).QueryContext(ctx, args...)
}

// queryRow runs a prepared query for one row.
func (t *tx) queryRow(ctx context.Context, query string, args ...any) *sql.Row {
	return t.StmtContext(ctx, t.prepared[query]).QueryRowContext(ctx, args...)
}

// write runs f in a transaction that writes, and commits it.
func (s *Store) write(ctx context.Context, op string, f func(*tx) error) error {
	return s.writer.within(ctx, op, f)
}

// within runs f in a transaction and commits it.
func (d *database) within(ctx context.Context, op string, f func(*tx) error) error {
	begun, err := d.BeginTx(ctx, nil)
	if err != nil {
		return classify(op, err)
	}
	if err := f(&tx{begun, d.prepared}); err != nil {
		// SQLite may have rolled back by itself; then this is an error of no interest.
		_ = begun.Rollback()
		return classify(op, err)
	}
	return classify(op, begun.Commit())
}

// change is write, with an audit row in the same transaction if f reports a change.
func (s *Store) change(ctx context.Context, op string, audit store.Audit, f func(*tx) (changed bool, err error)) error {
	return s.audited(ctx, op, func(t *tx) ([]store.Audit, error) {
		changed, err := f(t)
		if err != nil || !changed {
			return nil, err
		}
		return []store.Audit{audit}, nil
	})
}
