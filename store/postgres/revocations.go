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
		if err != nil {
			return false, err
		}
		if tag.RowsAffected() == 1 {
			return true, revoked(ctx, tx, serial)
		}
		var exists bool
		if err := tx.QueryRow(ctx, revocationExistsSQL, serial[:]).Scan(&exists); err != nil {
			return false, err
		}
		if !exists {
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
		if err != nil || tag.RowsAffected() == 0 {
			return false, err
		}
		return true, notify(ctx, tx)
	})
}

// revoked drops the acknowledgement of a certificate that has just been revoked: it counts no
// more. Acknowledge takes the shared lock, so that none can come between.
func revoked(ctx context.Context, tx pgx.Tx, serial store.Serial) error {
	if _, err := tx.Exec(ctx, ackDeleteSQL, serial[:]); err != nil {
		return err
	}
	return notify(ctx, tx)
}
