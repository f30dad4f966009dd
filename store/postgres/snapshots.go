package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
)

// Snapshot reads whole tables; see [store.Snapshots]. It is one transaction that reads, on one
// connection; what is deleted meanwhile is not vacuumed before it ends.
func (s *Store) Snapshot(ctx context.Context, f func(store.Snapshot) error) error {
	tx, err := s.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return s.classify("begin snapshot", err)
	}
	if _, err = tx.Exec(ctx, snapshotBeginSQL); err != nil {
		err = s.classify("begin snapshot", err)
	} else {
		err = f(snapshot{tx})
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), watchTimeout)
	defer cancel()
	_ = tx.Rollback(ending) // it has changed nothing
	return err
}

// snapshot is a transaction that reads. Its view is taken by the first statement.
type snapshot struct{ tx pgx.Tx }

var _ store.Snapshot = snapshot{}

// Schema implements [store.Snapshot].
func (s snapshot) Schema(ctx context.Context) (version int64, err error) {
	err = s.tx.QueryRow(ctx, snapshotSchemaSQL).Scan(&version)
	return version, classify("read schema version", err)
}

// Count implements [store.Snapshot].
func (s snapshot) Count(ctx context.Context, t *store.Table, after time.Time) (n int64, err error) {
	condition, args := conditionOf(t, after)
	query := strings.NewReplacer("{table}", t.Name, "{condition}", condition).Replace(snapshotCountSQL)
	err = s.tx.QueryRow(ctx, query, args...).Scan(&n)
	return n, classify("count "+t.Name, err)
}

// Each implements [store.Snapshot].
func (s snapshot) Each(ctx context.Context, t *store.Table, after time.Time, each func(store.Row) error) error {
	condition, args := conditionOf(t, after)
	query := strings.NewReplacer("{columns}", columnsOf(t), "{table}", t.Name, "{condition}", condition).Replace(snapshotReadSQL)
	rows, err := s.tx.Query(ctx, query, args...)
	if err != nil {
		return classify("read "+t.Name, err)
	}
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return classify("read "+t.Name, err)
		}
		for i, c := range t.Columns {
			if values[i], err = fromColumn(c.Kind, values[i]); err != nil {
				return fmt.Errorf("read %s.%s: %w", t.Name, c.Name, err)
			}
		}
		if err := each(values); err != nil {
			return err
		}
	}
	return classify("read "+t.Name, rows.Err())
}

// conditionOf selects the rows of a table.
func conditionOf(t *store.Table, after time.Time) (condition string, args []any) {
	if !t.Expires {
		return "true", nil
	}
	return "not_after > $1", []any{after}
}

// columnsOf is the columns of a table. They are quoted: some are words of SQL.
func columnsOf(t *store.Table) string {
	names := namesOf(t)
	for i, name := range names {
		names[i] = `"` + name + `"`
	}
	return strings.Join(names, ", ")
}

func namesOf(t *store.Table) []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return names
}

// fromColumn makes the value of a row of what the driver has read.
func fromColumn(kind store.ColumnKind, value any) (any, error) {
	switch v := value.(type) {
	case nil:
		return nil, nil
	case int32:
		if kind == store.KindInt {
			return int64(v), nil
		}
	case time.Time:
		if kind == store.KindTime {
			return v.UTC(), nil
		}
	case []any:
		if kind == store.KindList {
			return texts(v)
		}
	case map[string]any:
		if kind == store.KindMap {
			return textMap(v)
		}
	case int64, bool, float64, string, []byte:
		return v, nil
	}
	return nil, fmt.Errorf("%T does not fit: %w", value, store.ErrInvalid)
}

var errNoText = errors.New("holds what is not a text")

func texts(values []any) ([]string, error) {
	all := make([]string, len(values))
	for i, value := range values {
		text, ok := value.(string)
		if !ok {
			return nil, errNoText
		}
		all[i] = text
	}
	return all, nil
}

func textMap(values map[string]any) (map[string]string, error) {
	all := make(map[string]string, len(values))
	for key, value := range values {
		text, ok := value.(string)
		if !ok {
			return nil, errNoText
		}
		all[key] = text
	}
	return all, nil
}
