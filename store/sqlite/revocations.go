package sqlite

import (
	"context"
	"time"

	"github.com/pando-ca/pando/store"
)

// Revoke withdraws a certificate; see [store.Revocations].
func (s *Store) Revoke(ctx context.Context, serial store.Serial, at time.Time, reason int, audit store.Audit) error {
	return s.announced(s.change(ctx, "revoke", audit, func(t *tx) (bool, error) {
		rows, err := t.exec(ctx, revocationInsertSQL, serial[:], at.UnixMicro(), reason)
		if err != nil {
			return false, err
		}
		if rows == 1 { // its acknowledgement counts no more
			_, err := t.exec(ctx, ackDeleteSQL, serial[:])
			return true, err
		}
		var revoked bool
		if err := t.queryRow(ctx, revocationExistsSQL, serial[:]).Scan(&revoked); err != nil {
			return false, err
		}
		if !revoked {
			return false, store.ErrNotFound
		}
		return false, nil
	}))
}

// BlockKey refuses a public key from now on; see [store.Revocations].
func (s *Store) BlockKey(ctx context.Context, keyHash [32]byte, at time.Time, audit store.Audit) error {
	return s.announced(s.change(ctx, "block key", audit, func(t *tx) (bool, error) {
		rows, err := t.exec(ctx, blockedKeyInsertSQL, keyHash[:], at.UnixMicro())
		return rows == 1, err
	}))
}
