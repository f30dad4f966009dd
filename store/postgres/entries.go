package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pando-ca/pando/store"
)

// CreateEntry adds an entry; see [store.Entries].
func (s *Store) CreateEntry(ctx context.Context, e store.Entry, audit store.Audit) error {
	names := e.DNSNames
	if names == nil {
		names = []string{}
	}
	return s.change(ctx, "create entry", audit, func(tx pgx.Tx) (bool, error) {
		_, err := tx.Exec(ctx, entryInsertSQL, e.ID, e.SPIFFEID, names, e.Profile, e.Method, e.Issuer,
			detail(e.Claims), e.CreatedAt, e.CreatedBy, e.PreRenew, e.Watch)
		if err != nil {
			return false, err
		}
		return true, entriesChanged(ctx, tx)
	})
}

// Entry finds an entry by its ID; see [store.Entries].
func (s *Store) Entry(ctx context.Context, id string) (*store.Entry, error) {
	rows, err := s.pool.Query(ctx, entrySQL, id)
	if err != nil {
		return nil, s.classify("read entry", err)
	}
	e, err := pgx.CollectExactlyOneRow(rows, scanEntry)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("read entry: %w", store.ErrNotFound)
	}
	if err != nil {
		return nil, s.classify("read entry", err)
	}
	return &e, nil
}

// Entries lists entries; see [store.Entries].
func (s *Store) Entries(ctx context.Context, f store.EntryFilter) ([]store.Entry, error) {
	all, err := list(ctx, s, scanEntry, entriesSQL, f.SPIFFEID, f.Method, f.PreRenew, f.Watch, f.After, f.Limit)
	return all, s.classify("list entries", err)
}

// DeleteEntry deletes an entry and its tokens; see [store.Entries].
func (s *Store) DeleteEntry(ctx context.Context, id string, audit store.Audit) error {
	return s.change(ctx, "delete entry", audit, func(tx pgx.Tx) (bool, error) {
		if _, err := tx.Exec(ctx, lockExclusiveSQL); err != nil {
			return false, err
		}
		tag, err := tx.Exec(ctx, entryDeleteSQL, id)
		if err != nil {
			return false, err
		}
		if tag.RowsAffected() == 0 {
			return false, store.ErrNotFound
		}
		return true, entriesChanged(ctx, tx)
	})
}

// EntryVersion changes with the entries; see [store.EntryVersions].
func (s *Store) EntryVersion(ctx context.Context) (uint64, error) {
	var version int64
	if err := s.pool.QueryRow(ctx, entryVersionSQL).Scan(&version); err != nil {
		return 0, s.classify("read entry version", err)
	}
	return uint64(version), nil
}

// entriesChanged makes every replica look at the entries again once tx has committed.
func entriesChanged(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, entryVersionBumpSQL); err != nil {
		return err
	}
	return notify(ctx, tx)
}

func scanEntry(row pgx.CollectableRow) (store.Entry, error) {
	var e store.Entry
	err := row.Scan(&e.ID, &e.SPIFFEID, &e.DNSNames, &e.Profile, &e.Method, &e.Issuer, &e.Claims, &e.CreatedAt, &e.CreatedBy, &e.PreRenew, &e.Watch)
	if err != nil {
		return e, err
	}
	e.CreatedAt = e.CreatedAt.UTC()
	if len(e.DNSNames) == 0 {
		e.DNSNames = nil
	}
	if len(e.Claims) == 0 {
		e.Claims = nil
	}
	return e, nil
}
