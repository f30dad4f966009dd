package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
)

// Revoke withdraws a certificate; see [store.Revocations].
func (s *Store) Revoke(ctx context.Context, serial store.Serial, at time.Time, reason int, audit store.Audit) error {
	from, to := dayBounds(serial.Day())
	return s.change(ctx, "revoke", audit, func(tx pgx.Tx) (bool, error) {
		if _, err := tx.Exec(ctx, lockExclusiveSQL); err != nil {
			return false, err
		}
		tag, err := tx.Exec(ctx, revocationInsertSQL, serial[:], from, to, at, reason)
		if err != nil || tag.RowsAffected() == 1 {
			return true, err
		}
		var revoked bool
		if err := tx.QueryRow(ctx, revocationExistsSQL, serial[:]).Scan(&revoked); err != nil {
			return false, err
		}
		if !revoked {
			return false, store.ErrNotFound
		}
		return false, nil
	})
}

// BlockKey refuses a public key from now on; see [store.Revocations].
func (s *Store) BlockKey(ctx context.Context, keyHash [32]byte, at time.Time, audit store.Audit) error {
	return s.change(ctx, "block key", audit, func(tx pgx.Tx) (bool, error) {
		if _, err := tx.Exec(ctx, lockExclusiveSQL); err != nil {
			return false, err
		}
		tag, err := tx.Exec(ctx, blockedKeyInsertSQL, keyHash[:], at)
		return tag.RowsAffected() == 1, err
	})
}
