package postgres

import (
	"context"
	"fmt"

	"github.com/pando-ca/pando/store"
)

// Ping reports whether the server accepts writes; see [store.Health].
func (s *Store) Ping(ctx context.Context) error {
	var readOnly bool
	var written *bool
	if err := s.pool.QueryRow(ctx, pingSQL).Scan(&readOnly, &written); err != nil {
		return s.classify("ping", err)
	}
	if readOnly {
		s.pool.Reset() // look for the primary
		return fmt.Errorf("ping: server is read-only: %w", store.ErrUnavailable)
	}
	return nil
}
