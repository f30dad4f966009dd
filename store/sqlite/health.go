package sqlite

import "context"

// Ping reports whether the database accepts writes, by beginning one; see [store.Health].
func (s *Store) Ping(ctx context.Context) error {
	return s.write(ctx, "ping", func(t *tx) error {
		var entries int
		return t.queryRow(ctx, pingSQL).Scan(&entries)
	})
}
