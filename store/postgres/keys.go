package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
)

// AddKeyIntent notes a key; see [store.KeyIntents].
func (s *Store) AddKeyIntent(ctx context.Context, ref []byte, at time.Time) error {
	_, err := s.pool.Exec(ctx, keyIntentInsertSQL, ref, at, false)
	return s.classify("add key intent", err)
}

// DoomKeyIntents dooms and lists; see [store.KeyIntents].
func (s *Store) DoomKeyIntents(ctx context.Context, before time.Time) ([][]byte, error) {
	if _, err := s.pool.Exec(ctx, keyIntentsDoomSQL, before); err != nil {
		return nil, s.classify("doom key intents", err)
	}
	rows, err := s.pool.Query(ctx, keyIntentsDoomedSQL)
	if err != nil {
		return nil, s.classify("list doomed keys", err)
	}
	refs, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	return refs, s.classify("list doomed keys", err)
}

// DropKeyIntent forgets a doomed key; see [store.KeyIntents].
func (s *Store) DropKeyIntent(ctx context.Context, ref []byte) error {
	_, err := s.pool.Exec(ctx, keyIntentDeleteSQL, ref)
	return s.classify("drop key intent", err)
}

// AuthorityRequest reads a request; see [store.AuthorityRequests].
func (s *Store) AuthorityRequest(ctx context.Context, role string) (*store.AuthorityRequest, error) {
	var r store.AuthorityRequest
	err := s.pool.QueryRow(ctx, authorityRequestSQL, role).Scan(&r.Role, &r.Key, &r.CSR, &r.CreatedAt, &r.CreatedBy)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("read authority request: %w", store.ErrNotFound)
	}
	if err != nil {
		return nil, s.classify("read authority request", err)
	}
	r.CreatedAt = r.CreatedAt.UTC()
	return &r, nil
}

// CreateAuthorityRequest adds a request; see [store.AuthorityRequests].
func (s *Store) CreateAuthorityRequest(ctx context.Context, r store.AuthorityRequest, audit store.Audit) error {
	return s.change(ctx, "create authority request", audit, func(tx pgx.Tx) (bool, error) {
		if _, err := tx.Exec(ctx, authorityRequestInsertSQL, r.Role, r.Key, r.CSR, r.CreatedAt, r.CreatedBy); err != nil {
			return false, err
		}
		tag, err := tx.Exec(ctx, keyIntentClaimSQL, r.Key)
		if err == nil && store.KeyInToken(r.Key) && tag.RowsAffected() == 0 {
			err = store.ErrConflict
		}
		return true, err
	})
}

// DeleteAuthorityRequest drops a request; see [store.AuthorityRequests].
func (s *Store) DeleteAuthorityRequest(ctx context.Context, role string, at time.Time, audit store.Audit) error {
	return s.change(ctx, "delete authority request", audit, func(tx pgx.Tx) (bool, error) {
		var key []byte
		err := tx.QueryRow(ctx, authorityRequestDeleteSQL, role).Scan(&key)
		if errors.Is(err, pgx.ErrNoRows) {
			return false, store.ErrNotFound
		}
		if err == nil && store.KeyInToken(key) {
			_, err = tx.Exec(ctx, keyIntentInsertSQL, key, at, true)
		}
		return true, err
	})
}

// claimKeys takes the keys that next holds and that the current generation does not from where
// they were remembered, and dooms those in tokens that it holds at present. Those of them that
// next still holds are to be saved once it is written, by key_intents_held.sql.
func claimKeys(ctx context.Context, tx pgx.Tx, next *store.Generation) error {
	for _, a := range next.Authorities {
		if len(a.Key) == 0 {
			continue
		}
		if err := claimKey(ctx, tx, a.Key); err != nil {
			return fmt.Errorf("key of authority %s: %w", a.ID, err)
		}
	}
	_, err := tx.Exec(ctx, keysReleaseSQL, time.Now(), []byte(store.TokenKeyPrefix))
	return err
}

func claimKey(ctx context.Context, tx pgx.Tx, ref []byte) error {
	var held int
	if err := tx.QueryRow(ctx, keyHeldSQL, ref).Scan(&held); err != nil || held > 0 {
		return err
	}
	requested, err := tx.Exec(ctx, authorityRequestClaimSQL, ref)
	if err != nil || !store.KeyInToken(ref) {
		return err
	}
	intended, err := tx.Exec(ctx, keyIntentClaimSQL, ref)
	if err == nil && requested.RowsAffected()+intended.RowsAffected() == 0 {
		err = store.ErrConflict // somebody is about to destroy it
	}
	return err
}
