package sqlite

import (
	"context"
	"fmt"
)

// SetVersion makes the database look as if a migration had been applied, which is for binaries of
// this version and later.
func SetVersion(ctx context.Context, s *Store, version, since int64) error {
	_, err := s.writer.ExecContext(ctx, `INSERT INTO schema_version (version_id, is_applied) VALUES (?1, true);
		UPDATE schema_compatibility SET since = ?2`, version, since)
	return err
}

// LimitPages makes the database full at the size that it has now, or at its most again.
func LimitPages(ctx context.Context, s *Store, full bool) error {
	pages := int64(1 << 30)
	if full {
		if err := s.writer.QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages); err != nil {
			return err
		}
	}
	_, err := s.writer.ExecContext(ctx, fmt.Sprintf("PRAGMA max_page_count = %d", pages))
	return err
}

// Pragma is what the connection that writes runs with.
func Pragma(ctx context.Context, s *Store, name string) (value string, err error) {
	err = s.writer.QueryRowContext(ctx, "PRAGMA "+name).Scan(&value)
	return value, err
}

// Plan is how the listing with this filter finds its rows.
func Plan(ctx context.Context, s *Store, query string, args ...any) (string, error) {
	rows, err := s.reader.QueryContext(ctx, "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var plan string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			return "", err
		}
		plan += step + "\n"
	}
	return plan, rows.Err()
}

// The queries of Facts.
var (
	FactsIssuers   = factsIssuersSQL
	FactsFollowers = factsFollowersSQL
)

// Listing is the query of a filter.
var Listing = listing
