package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pando-ca/pando/store"
)

// AddKeyIntent notes a key; see [store.KeyIntents].
func (s *Store) AddKeyIntent(ctx context.Context, ref []byte, at time.Time) error {
	return s.write(ctx, "add key intent", func(t *tx) error {
		_, err := t.exec(ctx, keyIntentInsertSQL, ref, at.UnixMicro(), false)
		return err
	})
}

// DoomKeyIntents dooms and lists; see [store.KeyIntents].
func (s *Store) DoomKeyIntents(ctx context.Context, before time.Time) ([][]byte, error) {
	err := s.write(ctx, "doom key intents", func(t *tx) error {
		_, err := t.exec(ctx, keyIntentsDoomSQL, before.UnixMicro())
		return err
	})
	if err != nil {
		return nil, err
	}
	rows, err := s.reader.query(ctx, keyIntentsDoomedSQL)
	return collect("list doomed keys", rows, err, func(from row) (ref []byte, err error) {
		err = from.Scan(&ref)
		return ref, err
	})
}

// DropKeyIntent forgets a doomed key; see [store.KeyIntents].
func (s *Store) DropKeyIntent(ctx context.Context, ref []byte) error {
	return s.write(ctx, "drop key intent", func(t *tx) error {
		_, err := t.exec(ctx, keyIntentDeleteSQL, ref)
		return err
	})
}

// AuthorityRequest reads a request; see [store.AuthorityRequests].
func (s *Store) AuthorityRequest(ctx context.Context, role string) (*store.AuthorityRequest, error) {
	var r store.AuthorityRequest
	var createdAt int64
	err := s.reader.queryRow(ctx, authorityRequestSQL, role).Scan(&r.Role, &r.Key, &r.CSR, &createdAt, &r.CreatedBy)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("read authority request: %w", store.ErrNotFound)
	}
	if err != nil {
		return nil, classify("read authority request", err)
	}
	r.CreatedAt = timeOf(createdAt)
	return &r, nil
}

// CreateAuthorityRequest adds a request; see [store.AuthorityRequests].
func (s *Store) CreateAuthorityRequest(ctx context.Context, r store.AuthorityRequest, audit store.Audit) error {
	return s.change(ctx, "create authority request", audit, func(t *tx) (bool, error) {
		if _, err := t.exec(ctx, authorityRequestInsertSQL, r.Role, r.Key, r.CSR, r.CreatedAt.UnixMicro(), r.CreatedBy); err != nil {
			return false, err
		}
		intended, err := t.exec(ctx, keyIntentClaimSQL, r.Key)
		if err == nil && store.KeyInToken(r.Key) && intended == 0 {
			err = store.ErrConflict
		}
		return true, err
	})
}

// DeleteAuthorityRequest drops a request; see [store.AuthorityRequests].
func (s *Store) DeleteAuthorityRequest(ctx context.Context, role string, at time.Time, audit store.Audit) error {
	return s.change(ctx, "delete authority request", audit, func(t *tx) (bool, error) {
		var key []byte
		err := t.queryRow(ctx, authorityRequestDeleteSQL, role).Scan(&key)
		if errors.Is(err, sql.ErrNoRows) {
			return false, store.ErrNotFound
		}
		if err == nil && store.KeyInToken(key) {
			_, err = t.exec(ctx, keyIntentInsertSQL, key, at.UnixMicro(), true)
		}
		return true, err
	})
}

// claimKeys takes the keys that next holds and that the current generation does not from where
// they were remembered, and dooms those in tokens that it holds at present. Those of them that
// next still holds are to be saved once it is written, by key_intents_held.sql.
func (t *tx) claimKeys(ctx context.Context, next *store.Generation) error {
	for _, a := range next.Authorities {
		if len(a.Key) == 0 {
			continue
		}
		if err := t.claimKey(ctx, a.Key); err != nil {
			return fmt.Errorf("key of authority %s: %w", a.ID, err)
		}
	}
	_, err := t.exec(ctx, keysReleaseSQL, time.Now().UnixMicro(), []byte(store.TokenKeyPrefix))
	return err
}

func (t *tx) claimKey(ctx context.Context, ref []byte) error {
	var held int
	if err := t.queryRow(ctx, keyHeldSQL, ref).Scan(&held); err != nil || held > 0 {
		return err
	}
	requested, err := t.exec(ctx, authorityRequestClaimSQL, ref)
	if err != nil || !store.KeyInToken(ref) {
		return err
	}
	intended, err := t.exec(ctx, keyIntentClaimSQL, ref)
	if err == nil && requested+intended == 0 {
		err = store.ErrConflict // somebody is about to destroy it
	}
	return err
}
