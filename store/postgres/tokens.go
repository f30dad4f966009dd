package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
)

// CreateToken adds a join token; see [store.Tokens].
func (s *Store) CreateToken(ctx context.Context, t store.Token, audit store.Audit) error {
	return s.change(ctx, "create token", audit, func(tx pgx.Tx) (bool, error) {
		tag, err := tx.Exec(ctx, tokenInsertSQL, t.ID, t.Hash[:], t.EntryID, t.CreatedAt, t.CreatedBy, t.ExpiresAt)
		if err != nil {
			return false, err
		}
		if tag.RowsAffected() == 0 {
			return false, store.ErrNotFound
		}
		return true, nil
	})
}

// Token finds a join token by its hash; see [store.Tokens].
func (s *Store) Token(ctx context.Context, hash [32]byte) (*store.Token, error) {
	rows, err := s.pool.Query(ctx, tokenSQL, hash[:])
	if err != nil {
		return nil, s.classify("read token", err)
	}
	t, err := pgx.CollectExactlyOneRow(rows, scanToken)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("read token: %w", store.ErrNotFound)
	}
	if err != nil {
		return nil, s.classify("read token", err)
	}
	return &t, nil
}

func scanToken(row pgx.CollectableRow) (store.Token, error) {
	var (
		t                     store.Token
		hash, usedBy, usedKey []byte
		usedAt                *time.Time
	)
	err := row.Scan(&t.ID, &hash, &t.EntryID, &t.CreatedAt, &t.CreatedBy, &t.ExpiresAt, &usedAt, &usedBy, &usedKey)
	if err != nil {
		return t, err
	}
	copy(t.Hash[:], hash)
	copy(t.UsedBy[:], usedBy)
	copy(t.UsedKey[:], usedKey)
	t.CreatedAt, t.ExpiresAt = t.CreatedAt.UTC(), t.ExpiresAt.UTC()
	if usedAt != nil {
		t.UsedAt = usedAt.UTC()
	}
	return t, nil
}
