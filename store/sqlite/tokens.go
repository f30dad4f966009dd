package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pando-ca/pando/store"
)

// CreateToken adds a join token; see [store.Tokens].
func (s *Store) CreateToken(ctx context.Context, k store.Token, audit store.Audit) error {
	return s.change(ctx, "create token", audit, func(t *tx) (bool, error) {
		rows, err := t.exec(ctx, tokenInsertSQL, k.ID, k.Hash[:], k.EntryID, k.CreatedAt.UnixMicro(), k.CreatedBy, k.ExpiresAt.UnixMicro())
		if err != nil {
			return false, err
		}
		if rows == 0 {
			return false, store.ErrNotFound
		}
		return true, nil
	})
}

// Token finds a join token by its hash; see [store.Tokens].
func (s *Store) Token(ctx context.Context, hash [32]byte) (*store.Token, error) {
	var (
		k                      store.Token
		found, usedBy, usedKey []byte
		createdAt, expiresAt   int64
		usedAt                 sql.NullInt64
	)
	err := s.reader.queryRow(ctx, tokenSQL, hash[:]).
		Scan(&k.ID, &found, &k.EntryID, &createdAt, &k.CreatedBy, &expiresAt, &usedAt, &usedBy, &usedKey)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("read token: %w", store.ErrNotFound)
	}
	if err != nil {
		return nil, classify("read token", err)
	}
	copy(k.Hash[:], found)
	copy(k.UsedBy[:], usedBy)
	copy(k.UsedKey[:], usedKey)
	k.CreatedAt, k.ExpiresAt = timeOf(createdAt), timeOf(expiresAt)
	if usedAt.Valid {
		k.UsedAt = timeOf(usedAt.Int64)
	}
	return &k, nil
}
