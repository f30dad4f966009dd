package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Setting is what a connection of the Store runs with.
func Setting(ctx context.Context, s *Store, name string) (value string, err error) {
	err = s.pool.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&value)
	return value, err
}

// Stop runs a change that takes the lock of the audit and is then stopped, from the server's point
// of view, as long as until takes. The server waits for 50 ms.
func Stop(ctx context.Context, s *Store, until func()) error {
	return s.transact(ctx, "stop", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL idle_in_transaction_session_timeout = 50"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, auditLockSQL); err != nil {
			return err
		}
		until()
		_, err := tx.Exec(ctx, "SELECT 1")
		return err
	})
}
