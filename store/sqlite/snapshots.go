package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/pando-ca/pando/store"
)

// Snapshot reads whole tables; see [store.Snapshots]. It is one transaction that reads. The log of
// the database grows until it ends.
func (s *Store) Snapshot(ctx context.Context, f func(store.Snapshot) error) error {
	begun, err := s.reader.BeginTx(ctx, nil)
	if err != nil {
		return classify("begin snapshot", err)
	}
	err = f(snapshot{&tx{begun, s.reader.prepared}})
	_ = begun.Rollback() // it has changed nothing
	return err
}

// snapshot is a transaction that reads. Its view is taken by the first query.
type snapshot struct{ tx *tx }

var _ store.Snapshot = snapshot{}

// Schema implements [store.Snapshot].
func (s snapshot) Schema(ctx context.Context) (version int64, err error) {
	err = s.tx.QueryRowContext(ctx, snapshotSchemaSQL).Scan(&version)
	return version, classify("read schema version", err)
}

// Count implements [store.Snapshot].
func (s snapshot) Count(ctx context.Context, t *store.Table, after time.Time) (n int64, err error) {
	condition, args := conditionOf(t, after)
	query := strings.NewReplacer("{table}", t.Name, "{condition}", condition).Replace(snapshotCountSQL)
	err = s.tx.QueryRowContext(ctx, query, args...).Scan(&n)
	return n, classify("count "+t.Name, err)
}

// Each implements [store.Snapshot].
func (s snapshot) Each(ctx context.Context, t *store.Table, after time.Time, each func(store.Row) error) error {
	condition, args := conditionOf(t, after)
	query := strings.NewReplacer("{columns}", columnsOf(t), "{table}", t.Name, "{condition}", condition).Replace(snapshotReadSQL)
	rows, err := s.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return classify("read "+t.Name, err)
	}
	defer rows.Close()
	values := make([]any, len(t.Columns))
	to := make([]any, len(t.Columns))
	for i := range values {
		to[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(to...); err != nil {
			return classify("read "+t.Name, err)
		}
		row := make(store.Row, len(values))
		for i, c := range t.Columns {
			if row[i], err = fromColumn(c.Kind, values[i]); err != nil {
				return fmt.Errorf("read %s.%s: %w", t.Name, c.Name, err)
			}
		}
		if err := each(row); err != nil {
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
	return "not_after > ?1", []any{after.UnixMicro()}
}

// columnsOf is the columns of a table. They are quoted: some are words of SQL.
func columnsOf(t *store.Table) string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = `"` + c.Name + `"`
	}
	return strings.Join(names, ", ")
}

// fromColumn makes the value of a row of what the driver has read.
func fromColumn(kind store.ColumnKind, value any) (any, error) {
	switch v := value.(type) {
	case nil:
		return nil, nil
	case int64:
		switch kind {
		case store.KindInt:
			return v, nil
		case store.KindBool:
			return v != 0, nil
		case store.KindTime:
			return timeOf(v), nil
		}
	case float64:
		if kind == store.KindFloat {
			return v, nil
		}
	case []byte:
		if kind == store.KindOctets {
			return octets(v), nil
		}
	case string:
		switch kind {
		case store.KindText:
			return v, nil
		case store.KindList:
			var list []string
			err := json.Unmarshal([]byte(v), &list)
			return append([]string{}, list...), err // none is written as null, too
		case store.KindMap:
			m := make(map[string]string)
			err := json.Unmarshal([]byte(v), &m)
			return m, err
		}
	}
	return nil, fmt.Errorf("%T does not fit: %w", value, store.ErrInvalid)
}

// toColumn is the inverse of fromColumn.
func toColumn(kind store.ColumnKind, value any) (any, error) {
	switch v := value.(type) {
	case time.Time:
		return v.UnixMicro(), nil
	case []string, map[string]string:
		text, err := json.Marshal(v)
		return string(text), err
	case nil, int64, float64, bool, string, []byte:
		return v, nil
	}
	return nil, fmt.Errorf("%T for kind %d: %w", value, kind, store.ErrInvalid)
}
